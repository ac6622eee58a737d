package target

import (
	"fmt"
	"strings"
	texttemplate "text/template"

	"github.com/Masterminds/sprig/v3"
)

// maxItems bounds the lists that a function may make.
const maxItems = 10_000

// functions are sprig's as far as they read nothing but their arguments. Those of Fleet that are refused, and those that Fleet
// has and that would never settle, are told apart: a function that is not there, and one that says why it has no answer.
var functions = templateFunctions()

func templateFunctions() texttemplate.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "include", "tpl", "getHostByName"} {
		delete(all, name)
	}
	for _, name := range []string{
		"now", "ago", "uuidv4", "shuffle", "randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt",
		"bcrypt", "htpasswd", "encryptAES", "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert",
		"genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
	} {
		all[name] = func(...any) (string, error) { return "", errNoAnswer }
	}
	bound(all)
	return all
}

// bound keeps functions from making much out of little.
func bound(all texttemplate.FuncMap) {
	all["repeat"] = func(count int, text string) (string, error) {
		if count > 0 && len(text) > maxText/count {
			return "", errTooLong
		}
		return strings.Repeat(text, max(count, 0)), nil
	}
	for _, name := range []string{"indent", "nindent"} {
		plain := all[name].(func(int, string) string)
		all[name] = func(spaces int, text string) (string, error) {
			if spaces < 0 || spaces > 100 {
				return "", fmt.Errorf("%d spaces", spaces)
			}
			return plain(spaces, text), nil
		}
	}
	until, step := all["until"].(func(int) []int), all["untilStep"].(func(int, int, int) []int)
	all["until"] = func(count int) ([]int, error) {
		if count > maxItems || count < -maxItems {
			return nil, errTooMany
		}
		return until(count), nil
	}
	all["untilStep"] = func(start, stop, by int) ([]int, error) {
		if by != 0 && (stop-start)/by > maxItems {
			return nil, errTooMany
		}
		return step(start, stop, by), nil
	}
	seq := all["seq"].(func(...int) string)
	all["seq"] = func(bounds ...int) (string, error) {
		for _, b := range bounds {
			if b > maxItems || b < -maxItems {
				return "", errTooMany
			}
		}
		return seq(bounds...), nil
	}
}
