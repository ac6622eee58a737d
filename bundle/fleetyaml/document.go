package fleetyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of one file. What a person writes stays far below them.
const (
	maxFile     = 1 << 20  // bytes of a fleet.yaml or values file
	maxExpanded = 10 << 20 // bytes of it once each alias stands for what it names
)

// Document parses the one YAML document of a file, for its positions, and refuses what a decoder would pass over in silence:
// duplicate keys, further documents, aliases that blow up. An empty file gives a nil node. Line ends may be CRLF, and a
// byte order mark is ignored. An error is of type Errors.
func Document(file string, data []byte) (*yaml.Node, error) {
	node, errs := parse(file, data)
	return node, errs.orNil()
}

func parse(file string, data []byte) (*yaml.Node, Errors) {
	if len(data) > maxFile {
		return nil, Errors{{File: file, Message: fmt.Sprintf("the file has %d bytes, the limit is %d", len(data), maxFile)}}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, Errors{syntaxError(file, data, err)}
	}
	if err := decoder.Decode(&second); err == nil && !isNull(second.Content[0]) {
		return nil, Errors{{File: file, Line: second.Content[0].Line, Column: second.Content[0].Column,
			Message: "a second YAML document: only the first is read; put all keys into one"}}
	}
	root := first.Content[0]
	if isNull(root) {
		return nil, nil
	}
	if size := (expansion{}).size(root); size > maxExpanded {
		return nil, Errors{{File: file, Line: root.Line, Column: root.Column,
			Message: fmt.Sprintf("too complex: its aliases expand to more than %d MB; write out what they name", maxExpanded>>20)}}
	}
	return root, duplicates(file, root)
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// expansion holds the size of each anchored node with its aliases written out; 0 while it is being counted.
type expansion map[*yaml.Node]int

// size counts bytes up to just above maxExpanded. An alias inside of what it names has no end, so it counts as too many.
func (e expansion) size(node *yaml.Node) int {
	if node.Kind == yaml.AliasNode {
		size, counted := e[node.Alias]
		switch {
		case counted && size == 0:
			return maxExpanded + 1
		case counted:
			return size
		}
		return e.size(node.Alias)
	}
	if node.Anchor != "" {
		e[node] = 0
	}
	size := len(node.Value) + 1
	for _, child := range node.Content {
		if size = min(size+e.size(child), maxExpanded+1); size > maxExpanded {
			break
		}
	}
	if node.Anchor != "" {
		e[node] = size
	}
	return size
}

// duplicates names each key that stands twice in one mapping: YAML decoders keep the last and drop the first in silence.
func duplicates(file string, node *yaml.Node) (errs Errors) {
	if node.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if key.Kind != yaml.ScalarNode {
				errs = append(errs, Error{file, key.Line, key.Column, "a key must be a word, not a list or a mapping"})
				continue
			}
			if line, twice := seen[key.Value]; twice {
				errs = append(errs, Error{file, key.Line, key.Column,
					fmt.Sprintf("duplicate key %q: it stands at line %d already; keep one", clip(key.Value), line)})
			}
			seen[key.Value] = key.Line
		}
	}
	for _, child := range node.Content {
		errs = append(errs, duplicates(file, child)...)
	}
	return errs
}

var (
	tabIndent     = regexp.MustCompile(`(?m)^ *\t`)
	parserLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxError places the parser's error. It says nothing of a column, and leaves out line 1; its grammar errors, unlike its
// scanner's, count lines from 0. A tab in the indentation, the most common cause, is named where it stands.
func syntaxError(file string, data []byte, err error) Error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	tab := strings.Contains(message, "found a tab character") || strings.Contains(message, "cannot start any token")
	if at := tabIndent.FindIndex(data); tab && at != nil {
		return atByte(file, data, at[1]-1, "a tab in the indentation: YAML is indented with spaces")
	}
	if anchor := unknownAnchor.FindStringSubmatch(message); anchor != nil {
		at := bytes.Index(data, []byte("*"+anchor[1]))
		return atByte(file, data, at, "there is no anchor &"+anchor[1]+" above; write the value out, or in quotes")
	}
	line := 1
	if found := parserLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = message[len(found[0]):]
		if strings.HasPrefix(message, "did not find expected") {
			line++
		}
	}
	return Error{File: file, Line: line, Message: message}
}

// atByte is an error at a byte of the file.
func atByte(file string, data []byte, offset int, message string) Error {
	before := data[:max(offset, 0)]
	line := 1 + bytes.Count(before, []byte("\n"))
	return Error{file, line, len(before) - bytes.LastIndexByte(before, '\n'), message}
}

// clip keeps a key short enough for a message.
func clip(text string) string {
	if len(text) > 60 {
		return text[:57] + "..."
	}
	return text
}
