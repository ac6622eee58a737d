package main

import (
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // time zones of CronJobs, on machines that have no database of them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	_ "k8s.io/client-go/plugin/pkg/client/auth"           // kubectl's ways to log in
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics at /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric at /metrics
)

// personalities are the programs linked into this one. Each reads its arguments from os.Args as if it were alone, and ends
// the process.
var personalities = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          func() { runComponent(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { runComponent(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { runComponent(scheduler.NewSchedulerCommand()) },
	"kwok":                    runKwok,
	"kubectl":                 runKubectl,
}

// becomePersonality runs the personality that the command line names and does not return, or returns when it names none.
//
// A personality is named by the name that the program was called under (a link bin/kubectl) or by the first argument.
func becomePersonality() {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	args := os.Args[1:]
	if _, ok := personalities[name]; !ok && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	run, ok := personalities[name]
	if !ok {
		return
	}
	os.Args = append([]string{name}, args...)
	followLauncher()
	run()
	os.Exit(0)
}

func runComponent(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// runKubectl does what kubectl's own main does.
func runKubectl() {
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // as kubectl: a bad level is reported by its flag parsing
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
