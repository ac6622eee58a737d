package gitrepo

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestAGitRepoSaysThatACommitTakesLong(t *testing.T) {
	for _, row := range []struct {
		rule   string
		before string
		takes  time.Duration
		want   string
		says   string
	}{
		{"one that takes long is in progress", fleet.GitJobCurrent, 2 * slow, fleet.GitJobInProgress, "reading commit c0ffee1"},
		{"the first one, too", "", 2 * slow, fleet.GitJobInProgress, "reading commit c0ffee1"},
		{"one that is read soon makes no write", fleet.GitJobCurrent, slow / 2, fleet.GitJobCurrent, ""},
		{"one that is tried again goes on saying why it failed", fleet.GitJobFailed, 2 * slow, fleet.GitJobFailed, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scheme := runtime.NewScheme()
				if err := fleet.AddToScheme(scheme); err != nil {
					t.Fatal(err)
				}
				repo := &fleet.GitRepo{}
				repo.Namespace, repo.Name, repo.Status.GitJobStatus = "ws", "apps", row.before
				hub := fake.NewClientBuilder().WithScheme(scheme).WithObjects(repo).WithStatusSubresource(repo).Build()
				end := (&Reconciler{Client: hub, Reader: hub}).sayWhenSlow(t.Context(), &run{repo: repo, head: "c0ffee1234"})
				time.Sleep(row.takes)
				end()
				got := &fleet.GitRepo{}
				if err := hub.Get(t.Context(), client.ObjectKeyFromObject(repo), got); err != nil {
					t.Fatal(err)
				}
				says := ""
				if c := fleet.Condition(got.Status.Conditions, fleet.ConditionReconciling); c != nil {
					says = c.Message
				}
				if got.Status.GitJobStatus != row.want || says != row.says {
					t.Errorf("%q, %q", got.Status.GitJobStatus, says)
				}
			})
		})
	}
}
