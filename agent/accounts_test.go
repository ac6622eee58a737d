package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestWhichServiceAccountADeploymentActsAs(t *testing.T) {
	for _, row := range []struct {
		rule, named string
		there       []string
		want        string // or what the error says
	}{
		{"the one that is named", "tenant", []string{"tenant", "fleet-default", "flotilla-admin"}, "tenant"},
		{"one that is named is never replaced by another", "tenant", []string{"fleet-default", "flotilla-admin"}, "!service account agents/tenant: "},
		{"without a name fleet-default", "", []string{"fleet-default", "flotilla-admin"}, "fleet-default"},
		{"else flotilla-admin", "", []string{"flotilla-admin"}, "flotilla-admin"},
		{"without either nobody", "", nil, "!neither fleet-default nor flotilla-admin in agents"},
		{"where it cannot be known, nobody", "", []string{"flotilla-admin", "broken"}, "!service account agents/fleet-default: broken"},
	} {
		a := &accounts{"agents", func(_ context.Context, name string) (*corev1.ServiceAccount, error) {
			switch {
			case slices.Contains(row.there, "broken"):
				return nil, errors.New("broken")
			case slices.Contains(row.there, name):
				return &corev1.ServiceAccount{}, nil
			}
			return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
		}}
		got, err := a.resolve(t.Context(), row.named)
		if want, fails := strings.CutPrefix(row.want, "!"); fails != (err != nil) || !fails && got != want || fails && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v", row.rule, got, err)
		}
	}
}
