package migration

import (
	"os"
	"regexp"
	"strings"
)

var (
	section = regexp.MustCompile(`(?m)^## (.+)$`)
	fence   = regexp.MustCompile("(?ms)^```sh(?: back)?\n(.*?)^```")
)

// page is docs/migrate-from-fleet.md: its commands by section, each fence one script.
type page struct {
	order  []string
	blocks map[string][]string
}

func (p *place) page() page {
	p.Helper()
	data, err := os.ReadFile("../../docs/migrate-from-fleet.md")
	must(p.T, err)
	text, out := string(data), page{blocks: map[string][]string{}}
	heads := section.FindAllStringSubmatchIndex(text, -1)
	out.take("", text[:heads[0][0]])
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		out.take(text[h[2]:h[3]], text[h[1]:end])
	}
	return out
}

func (g *page) take(name, text string) {
	g.order = append(g.order, name)
	for _, found := range fence.FindAllStringSubmatch(text, -1) {
		g.blocks[name] = append(g.blocks[name], found[1])
	}
}

// follow runs the commands of a section, word for word. What a script exports is seen by all that come after; the address of
// the hub is the one thing that is another one here.
func (p *place) follow(g page, name string) string {
	p.Helper()
	if len(g.blocks[name]) == 0 {
		p.Fatalf("section %q of the page has no commands; there are %q", name, g.order)
	}
	var out strings.Builder
	for _, block := range g.blocks[name] {
		for line := range strings.Lines(block) {
			exported, ok := strings.CutPrefix(strings.TrimSpace(line), "export ")
			if !ok {
				continue
			}
			for _, pair := range strings.Fields(exported) {
				if strings.HasPrefix(pair, "HUB_URL=") {
					pair = "HUB_URL=" + p.hub.Host()
				}
				p.env = append(p.env, pair)
			}
		}
		if strings.HasPrefix(strings.TrimSpace(block), "export ") {
			continue
		}
		out.WriteString(p.sh(block))
	}
	return out.String()
}
