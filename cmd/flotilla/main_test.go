package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect from the current output")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flotilla": func() { os.Exit(execute()) }})
}

// Scripts need no cluster; what needs one is in integrationtests.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update})
}
