package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/source/charts"
)

// chartFlags say how charts are fetched from elsewhere.
type chartFlags struct {
	username, passwordFile, caFile, pattern, byPathFile string
	plainHTTP, insecure                                 bool
}

func (o *chartFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.username, "username", fromEnv("HELM_USERNAME", ""), "user for the Helm repository (env HELM_USERNAME)")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password for it")
	f.StringVar(&o.caFile, "cacerts-file", "", "file with CAs to trust for it")
	f.String("ssh-privatekey-file", "", "has no effect: charts are not fetched over SSH")
	f.StringVar(&o.pattern, "helm-repo-url-regex", "", "repositories that get the credentials: a regular expression for their whole address; without it none does")
	f.StringVar(&o.byPathFile, "helm-credentials-by-path-file", "", "file with credentials by the path of the bundle, in place of the others")
	f.BoolVar(&o.plainHTTP, "helm-basic-http", false, "ask registries without TLS")
	f.BoolVar(&o.insecure, "helm-insecure-skip-tls", false, "take any certificate")
}

// charts fetches charts with what the flags say.
func (o *chartFlags) charts() (reader.Charts, error) {
	all := charts.Auth{PlainHTTP: o.plainHTTP}
	all.Username, all.Insecure = o.username, o.insecure
	if o.passwordFile != "" {
		data, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("reading --password-file: %w", err)
		}
		all.Password = strings.TrimRight(string(data), "\r\n")
	}
	if o.caFile != "" {
		data, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("reading --cacerts-file: %w", err)
		}
		all.CABundle = data
	}
	var byPath map[string]charts.Auth
	if o.byPathFile != "" {
		data, err := os.ReadFile(o.byPathFile)
		if err != nil {
			return nil, fmt.Errorf("reading --helm-credentials-by-path-file: %w", err)
		}
		if byPath, err = charts.ParseByPath(data); err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.byPathFile, err)
		}
	}
	credentials, err := charts.NewCredentials(all, byPath, o.pattern)
	if err != nil {
		return nil, fmt.Errorf("--helm-repo-url-regex: %w", err)
	}
	fetcher := charts.New(charts.Options{Local: true})
	return func(path string) reader.ChartFetcher { return fetcher.Begin(credentials.For(path)) }, nil
}

// publicCharts fetches charts with no credentials.
func publicCharts() reader.Charts {
	session := charts.New(charts.Options{Local: true}).Begin((&charts.Credentials{}).For(""))
	return func(string) reader.ChartFetcher { return session }
}
