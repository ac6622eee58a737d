//go:build packs

package packs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// request is what is used of a line of an audit log.
type request struct {
	Verb string    `json:"verb"`
	At   time.Time `json:"requestReceivedTimestamp"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	URI       string `json:"requestURI"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

const (
	serviceAccount = "system:serviceaccount:"
	agent          = serviceAccount + fleet.SystemNamespace + ":flotilla-agent"
)

func (r request) reads() bool { return slices.Contains([]string{"get", "list", "watch"}, r.Verb) }

// Requests are the lines of a cluster's audit log since it joined, for the hub all.
func (w *World) Requests(cluster string) (out []request) {
	w.T.Helper()
	c, err := w.Fleet.Cluster(cluster)
	w.Check(err)
	f, err := os.Open(c.AuditLogPath())
	w.Check(err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	for lines.Scan() {
		var r request
		w.Check(json.Unmarshal(lines.Bytes(), &r))
		if r.At.After(w.joined[cluster]) {
			out = append(out, r)
		}
	}
	w.Check(lines.Err())
	return out
}

// nobodyElse looks into the members' audit logs: since they joined nobody asked for anything but the agent, the clusters' own
// parts, controllers that act as an account that the agent brought, and the test, which reads.
func nobodyElse(w *World) {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tWHO\tREADS\tWRITES")
	for _, cluster := range slices.Sorted(maps.Keys(clusters)) {
		requests := w.Requests(cluster)
		brought := accountsOf(requests)
		reads, writes := map[string]int{}, map[string]int{}
		for _, r := range requests {
			who := r.User.Username
			if wrong := refuse(r, brought); wrong != "" {
				w.T.Errorf("%s: %s: %s %s %s", cluster, wrong, who, r.Verb, r.URI)
			}
			if reads[who] += 0; r.reads() {
				reads[who]++
			} else {
				writes[who]++
			}
		}
		for _, who := range slices.Sorted(maps.Keys(reads)) {
			if !own(who) {
				fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", cluster, strings.TrimPrefix(who, serviceAccount), reads[who], writes[who])
			}
		}
	}
	w.Check(table.Flush())
	w.T.Logf("\n%s", text.String())
}

// refuse says why a request should not have been made, or "".
func refuse(r request, brought map[string]bool) string {
	who := r.User.Username
	name, test := strings.CutPrefix(who, serviceAccount+testNamespace+":")
	switch {
	case who == agent, own(who), brought[who]:
		return ""
	case who == "" && r.Response.Code == http.StatusUnauthorized: // a token that was made anew opens nothing
		return ""
	case !test:
		return "nobody should be here but the agent, own controllers and the test"
	case name == reader && !r.reads():
		return "the test's reader writes"
	case name == person && !r.reads() && r.Verb != "delete":
		return "the test's person only deletes by hand what should be survived"
	}
	return ""
}

// own tells the cluster's own parts.
func own(who string) bool {
	return who == "kwok" || strings.HasPrefix(who, "system:kube-") || who == "system:apiserver" || strings.HasPrefix(who, serviceAccount+"kube-system:")
}

// accountsOf are the service accounts that the agent brought.
func accountsOf(requests []request) map[string]bool {
	out := map[string]bool{}
	for _, r := range requests {
		if r.User.Username == agent && r.ObjectRef.Resource == "serviceaccounts" && r.ObjectRef.Subresource == "" && !r.reads() {
			out[serviceAccount+r.ObjectRef.Namespace+":"+r.ObjectRef.Name] = true
		}
	}
	return out
}
