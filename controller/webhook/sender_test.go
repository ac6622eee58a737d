package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// of the documents of each Git server, shortened to what tells anything
const (
	fromGitHub = `{"ref":"refs/heads/main","before":"b","after":"c0ffee","repository":{"full_name":"team/apps","html_url":"https://git.example.com/team/apps",
		"clone_url":"https://git.example.com/team/apps.git","ssh_url":"git@git.example.com:team/apps.git"},"pusher":{"name":"a"}}`
	fromGitLab = `{"object_kind":"push","event_name":"push","before":"b","after":"c0ffee","ref":"refs/heads/main","checkout_sha":"c0ffee","project_id":15,
		"project":{"name":"apps","web_url":"https://git.example.com/team/apps","git_ssh_url":"git@git.example.com:team/apps.git","git_http_url":"https://git.example.com/team/apps.git"},
		"repository":{"name":"apps","url":"git@git.example.com:team/apps.git","homepage":"https://git.example.com/team/apps"},"commits":[]}`
	fromGogs = `{"ref":"refs/heads/main","before":"b","after":"c0ffee","compare_url":"","repository":{"id":140,"name":"apps","html_url":"https://git.example.com/team/apps",
		"ssh_url":"git@git.example.com:team/apps.git","clone_url":"https://git.example.com/team/apps.git"}}`
	fromBitbucket = `{"push":{"changes":[{"new":{"type":"branch","name":"main","target":{"type":"commit","hash":"c0ffee"}},"old":{"type":"branch","name":"main"}},
		{"new":null,"old":{"type":"branch","name":"gone"}}]},"repository":{"full_name":"team/apps","links":{"html":{"href":"https://git.example.com/team/apps"}}}}`
	fromBitbucketServer = `{"eventKey":"repo:refs_changed","changes":[{"ref":{"id":"refs/heads/main","displayId":"main","type":"BRANCH"},"fromHash":"b","toHash":"c0ffee","type":"UPDATE"}],
		"repository":{"slug":"apps","links":{"clone":[{"href":"ssh://git@git.example.com:7999/team/apps.git","name":"ssh"},{"href":"https://git.example.com/team/apps.git","name":"http"}]}}}`
	fromAzure = `{"subscriptionId":"s","eventType":"git.push","publisherId":"tfs","resource":{"refUpdates":[{"name":"refs/heads/main","oldObjectId":"b","newObjectId":"c0ffee"}],
		"repository":{"name":"apps","remoteUrl":"https://somebody@git.example.com/team/apps"}}}`
)

// TestEachGitServer: what each sends is read alike, and believed with its own key and no other.
func TestEachGitServer(t *testing.T) {
	t.Parallel()
	all := map[string][]byte{
		"github": []byte("of github"), "gitlab": []byte("of gitlab"), "gogs": []byte("of gogs"), "bitbucket": []byte("of bitbucket"),
		"bitbucket-server": []byte("of bitbucket-server"), "azure-username": []byte("azure"), "azure-password": []byte("of azure"),
	}
	basic := func(name, password string) http.Header {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(name, password)
		r.Header.Set("X-Vss-Activityid", "1")
		return r.Header
	}
	for _, row := range []struct {
		name, key, body string
		right, wrong    http.Header
	}{
		{"GitHub", "github", fromGitHub, header("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+sign("of github", fromGitHub)),
			header("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+sign("of gitlab", fromGitHub))},
		{"Gitea with the key of Gogs", "gogs", fromGogs, header("X-Gitea-Event", "push", "X-Gogs-Event", "push", "X-Gogs-Signature", sign("of gogs", fromGogs), "X-Hub-Signature-256", "sha256="+sign("of gogs", fromGogs)),
			header("X-Gogs-Event", "push", "X-Gogs-Signature", sign("guess", fromGogs))},
		{"Gitea with that of GitHub", "github", fromGogs, header("X-Gitea-Event", "push", "X-Gogs-Event", "push", "X-Gogs-Signature", sign("of github", fromGogs), "X-Hub-Signature-256", "sha256="+sign("of github", fromGogs)),
			header("X-Gitea-Event", "push", "X-Gitea-Signature", sign("of github", fromGogs))},
		{"GitLab", "gitlab", fromGitLab, header("X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "of gitlab"), header("X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "of github")},
		{"Bitbucket by its signature", "bitbucket", fromBitbucket, header("X-Event-Key", "repo:push", "X-Hub-Signature", "sha256="+sign("of bitbucket", fromBitbucket)),
			header("X-Event-Key", "repo:push", "X-Hub-Signature", "sha256="+sign("of bitbucket-server", fromBitbucket))},
		{"Bitbucket by the hook's UUID", "bitbucket", fromBitbucket, header("X-Event-Key", "repo:push", "X-Hook-UUID", "of bitbucket"), header("X-Event-Key", "repo:push", "X-Hook-UUID", "")},
		{"Bitbucket Server", "bitbucket-server", fromBitbucketServer, header("X-Event-Key", "repo:refs_changed", "X-Hub-Signature", "sha256="+sign("of bitbucket-server", fromBitbucketServer)),
			header("X-Event-Key", "repo:refs_changed", "X-Hub-Signature", "sha256="+sign("of bitbucket", fromBitbucketServer))},
		{"Azure DevOps", "azure-password", fromAzure, basic("azure", "of azure"), basic("azure", "of github")},
		{"Azure DevOps and the name", "azure-username", fromAzure, basic("azure", "of azure"), basic("somebody", "of azure")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			from := senderOf(row.right)
			p, err := from.read([]byte(row.body))
			if err != nil {
				t.Fatal(err)
			}
			known := false
			for _, u := range p.urls {
				known = known || normal(u) == "git.example.com/team/apps"
			}
			commit, concerns := p.to(&fleet.GitRepo{Spec: fleet.GitRepoSpec{Branch: "main"}})
			if _, other := p.to(&fleet.GitRepo{Spec: fleet.GitRepoSpec{Branch: "gone"}}); !known || !concerns || commit != "c0ffee" || other {
				t.Errorf("it is read as %+v", p)
			}
			without := map[string][]byte{}
			for k, v := range all {
				if k != row.key {
					without[k] = v
				}
			}
			body := []byte(row.body)
			for _, c := range []struct {
				rule   string
				secret map[string][]byte
				header http.Header
				body   []byte
				want   bool
			}{
				{"as it should be", all, row.right, body, true},
				{"with something else", all, row.wrong, body, false},
				{"with nothing", all, header("X-Gitlab-Event", row.right.Get("X-Gitlab-Event"), "X-Event-Key", row.right.Get("X-Event-Key")), body, false},
				{"without its key", without, row.right, body, false},
				{"with an empty key", map[string][]byte{row.key: {}}, row.right, body, false},
				{"without any", nil, row.right, body, false},
			} {
				if got := senderOf(c.header).knows(c.secret, sent{c.header, c.body}); got != c.want {
					t.Errorf("%s it is believed: %v", c.rule, got)
				}
			}
		})
	}
}

func FuzzPush(f *testing.F) {
	for _, body := range []string{fromGitHub, fromGitLab, fromGogs, fromBitbucket, fromBitbucketServer, fromAzure, `{"push":{"changes":[null]}}`, `[]`, `null`, `{"changes":[{"ref":null}]}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func([]byte) (push, error){plain, bitbucketCloud, bitbucketServer, azureDevOps} {
			p, err := read(body)
			if err != nil && !reflect.DeepEqual(p, push{}) {
				t.Errorf("an error comes with %+v", p)
			}
			p.to(&fleet.GitRepo{})
			for _, u := range p.urls {
				normal(u)
			}
		}
	})
}
