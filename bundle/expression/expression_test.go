package expression

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	t.Parallel()
	see := map[string]any{
		Self: map[string]any{
			"data":   map[string]any{"token": "dG9rZW4=", "ca.crt": "Y2E=", "port": "c4n4ry"},
			"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"hostname": "lb.example.com"}}}},
			"spec":   map[string]any{"replicas": int64(3), "big": int64(9007199254740993)},
		},
		Cluster: map[string]any{"name": "aws", "facts": map[string]any{"apiServer": "https://10.0.0.1:6443"}},
	}
	for _, c := range []struct{ rule, source, want string }{
		{"a field of the object", `self.data.token`, `"dG9rZW4="`},
		{"base64 is decoded where that is asked for", `string(base64.decode(self.data.token))`, `"token"`},
		{"bytes are base64", `base64.decode(self.data.token)`, `"dG9rZW4="`},
		{"a map", `{'token': self.data.token, 'ca': self.data['ca.crt']}`, `{"ca":"Y2E=","token":"dG9rZW4="}`},
		{"one of two fields", `self.status.loadBalancer.ingress[0].?ip.orValue(self.status.loadBalancer.ingress[0].hostname)`, `"lb.example.com"`},
		{"has asks without an error", `has(self.status.loadBalancer.ingress) ? 'yes' : 'no'`, `"yes"`},
		{"whole numbers stay whole", `self.spec.big`, `9007199254740993`},
		{"lists", `self.status.loadBalancer.ingress.map(i, i.hostname)`, `["lb.example.com"]`},
		{"texts are worked on", `cluster.facts.apiServer.replace('https://', '')`, `"10.0.0.1:6443"`},
		{"an empty optional is null", `self.?none.?deeper`, `null`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			e, err := Compile(c.source, Self, Cluster)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Value(t.Context(), see)
			if err != nil {
				t.Fatal(err)
			}
			if data, _ := json.Marshal(got); string(data) != c.want {
				t.Errorf("got %s, want %s", data, c.want)
			}
		})
	}
	for _, c := range []struct{ rule, source, want string }{
		{"what is not there is named", `self.status.ready`, `there is no "ready" yet`},
		{"in a list, too", `self.status.loadBalancer.ingress[3].ip`, `index out of bounds`},
		{"a conversion that fails shows nothing of the value", `int(self.data.port)`, `it cannot be evaluated here (the message is not shown, it may hold values)`},
		{"what runs away is ended", `[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].map(d, [1,2,3,4,5,6,7,8,9,10].map(e, [1,2,3,4,5,6,7,8,9,10].map(f, a+b+c+d+e+f))))))`,
			`cost limit exceeded`},
		{"a function is no JSON", `type(self)`, `it gives a type, which is no JSON`},
		{"keys are text", `{1: 2}`, `it gives a map with a key that is a int, not text`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			e, err := Compile(c.source, Self, Cluster)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Value(t.Context(), see); err == nil || err.Error() != c.want {
				t.Errorf("got %v, %v; want %s", got, err, c.want)
			}
		})
	}
	var unresolved *Unresolved
	e, _ := Compile(`self.status.ready`, Self)
	if _, err := e.Value(t.Context(), see); !errors.As(err, &unresolved) || unresolved.Key != "ready" {
		t.Errorf("what is not there yet is told from what fails: %v", err)
	}
}

func TestALongValueIsRefused(t *testing.T) {
	t.Parallel()
	e, err := Compile(`self`, Self)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Value(t.Context(), map[string]any{Self: strings.Repeat("x", MaxValue)}); err == nil || !strings.Contains(err.Error(), "at most 32768") {
		t.Errorf("got %v", err)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, source, want string }{
		{"an unknown name is told with the likely one", `slef.data`, `column 1: there is no "slef"; did you mean "self"?; it may use self, cluster`},
		{"what cannot be read is told with its column", `self.data[`, `column 11: `},
		{"an unknown function is named", `self.frobnicate()`, `column 16: there is no "frobnicate"`},
		{"a long text is refused", strings.Repeat(" ", MaxSource+1), `it has 4097 bytes, and at most 4096 are allowed`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if _, err := Compile(c.source, Self, Cluster); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAnExpressionGivesWhatItHasTo(t *testing.T) {
	t.Parallel()
	asBool := func(source string, see map[string]any) (any, error) {
		e, err := CompileBool(source, Self)
		if err != nil {
			return nil, err
		}
		return e.Bool(t.Context(), see)
	}
	asText := func(source string, see map[string]any) (any, error) {
		e, err := CompileText(source, Self)
		if err != nil {
			return nil, err
		}
		return e.Text(t.Context(), see)
	}
	for _, c := range []struct {
		rule, source string
		as           func(string, map[string]any) (any, error)
		want         any
		fails        string
	}{
		{"yes is yes", `self.b`, asBool, true, ""},
		{"text is text", `self.a`, asText, "x", ""},
		{"text where yes or no is wanted is told at once", `'a'`, asBool, nil, `it gives string, and has to give true or false`},
		{"a number where text is wanted is told at once", `1`, asText, nil, `it gives int, and has to give text`},
		{"what cannot be known before is told when it comes", `self.a`, asBool, nil, `it gives no true or false`},
		{"the same for text", `self.b`, asText, nil, `it gives no text`},
		{"what is not there is told as such", `self.c`, asBool, nil, `there is no "c" yet`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := c.as(c.source, map[string]any{Self: map[string]any{"a": "x", "b": true}})
			if c.fails == "" && (err != nil || got != c.want) || c.fails != "" && (err == nil || err.Error() != c.fails) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
