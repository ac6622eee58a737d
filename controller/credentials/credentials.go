// Package credentials reads the Secrets that GitRepos and HelmOps name.
package credentials

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"flotilla.io/flotilla/bundle/source/charts"
)

// Charts reads a Secret for a Helm repository, as Fleet has them. A switch that is neither true nor false is off.
func Charts(secret *corev1.Secret) charts.Auth {
	is := func(key string) bool {
		yes, err := strconv.ParseBool(string(secret.Data[key]))
		return err == nil && yes
	}
	auth := charts.Auth{PlainHTTP: is("basicHTTP")}
	auth.Username, auth.Password = string(secret.Data[corev1.BasicAuthUsernameKey]), string(secret.Data[corev1.BasicAuthPasswordKey])
	auth.CABundle, auth.Insecure = secret.Data["cacerts"], is("insecureSkipVerify")
	return auth
}
