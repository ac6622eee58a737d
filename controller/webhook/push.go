package webhook

import (
	"encoding/json"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// push is what is used of what a Git server says.
type push struct {
	urls    []string // of the repository, in all its forms
	changes []change
}

// change is a branch or tag that moved.
type change struct {
	ref    string // refs/heads/main
	commit string // where it is now; "" or zeroes when it is gone
}

// to is the commit that a push brings a GitRepo; false where it concerns another branch. A GitRepo without a branch looks at every
// push, as in Fleet.
func (p push) to(repo *fleet.GitRepo) (commit string, concerns bool) {
	for _, c := range p.changes {
		if repo.Spec.Branch == "" || c.ref == "refs/heads/"+repo.Spec.Branch {
			return c.commit, true
		}
	}
	return "", false
}

// repository is how GitHub, Gitea, Gogs and GitLab write where one is.
type repository struct {
	CloneURL string `json:"clone_url"`
	HTMLURL  string `json:"html_url"`
	SSHURL   string `json:"ssh_url"`
	GitURL   string `json:"git_url"`
	URL      string `json:"url"`
	Homepage string `json:"homepage"`
	WebURL   string `json:"web_url"`
	GitHTTP  string `json:"git_http_url"`
	GitSSH   string `json:"git_ssh_url"`
}

func (r repository) urls() []string {
	return []string{r.CloneURL, r.HTMLURL, r.SSHURL, r.GitURL, r.URL, r.Homepage, r.WebURL, r.GitHTTP, r.GitSSH}
}

// plain reads what GitHub, Gitea, Gogs and GitLab send.
func plain(body []byte) (push, error) {
	var p struct {
		Ref        string     `json:"ref"`
		After      string     `json:"after"`
		Repository repository `json:"repository"`
		Project    repository `json:"project"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return push{}, err
	}
	return push{urls: append(p.Repository.urls(), p.Project.urls()...), changes: []change{{p.Ref, p.After}}}, nil
}

// link is how Bitbucket writes an address.
type link struct {
	Href string `json:"href"`
}

// bitbucketCloud reads what Bitbucket Cloud sends.
func bitbucketCloud(body []byte) (push, error) {
	var p struct {
		Push struct {
			Changes []struct {
				New *struct {
					Type   string `json:"type"`
					Name   string `json:"name"`
					Target struct {
						Hash string `json:"hash"`
					} `json:"target"`
				} `json:"new"` // null when it is gone
			} `json:"changes"`
		} `json:"push"`
		Repository struct {
			Links struct {
				HTML  link   `json:"html"`
				Clone []link `json:"clone"`
			} `json:"links"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return push{}, err
	}
	out := push{urls: append(hrefs(p.Repository.Links.Clone), p.Repository.Links.HTML.Href)}
	for _, c := range p.Push.Changes {
		if c.New == nil {
			continue
		}
		kind := "refs/heads/"
		if c.New.Type == "tag" {
			kind = "refs/tags/"
		}
		out.changes = append(out.changes, change{kind + c.New.Name, c.New.Target.Hash})
	}
	return out, nil
}

// bitbucketServer reads what Bitbucket Server and Data Center send.
func bitbucketServer(body []byte) (push, error) {
	var p struct {
		Changes []struct {
			Ref struct {
				ID string `json:"id"`
			} `json:"ref"`
			ToHash string `json:"toHash"`
		} `json:"changes"`
		Repository struct {
			Links struct {
				Clone []link `json:"clone"`
				Self  []link `json:"self"`
			} `json:"links"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return push{}, err
	}
	out := push{urls: append(hrefs(p.Repository.Links.Clone), hrefs(p.Repository.Links.Self)...)}
	for _, c := range p.Changes {
		out.changes = append(out.changes, change{c.Ref.ID, c.ToHash})
	}
	return out, nil
}

func hrefs(links []link) (out []string) {
	for _, l := range links {
		out = append(out, l.Href)
	}
	return out
}

// azureDevOps reads the event git.push of Azure DevOps.
func azureDevOps(body []byte) (push, error) {
	var p struct {
		Resource struct {
			RefUpdates []struct {
				Name        string `json:"name"`
				NewObjectID string `json:"newObjectId"`
			} `json:"refUpdates"`
			Repository struct {
				RemoteURL string `json:"remoteUrl"`
				SSHURL    string `json:"sshUrl"`
				WebURL    string `json:"webUrl"`
			} `json:"repository"`
		} `json:"resource"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return push{}, err
	}
	out := push{urls: []string{p.Resource.Repository.RemoteURL, p.Resource.Repository.SSHURL, p.Resource.Repository.WebURL}}
	for _, u := range p.Resource.RefUpdates {
		out.changes = append(out.changes, change{u.Name, u.NewObjectID})
	}
	return out, nil
}
