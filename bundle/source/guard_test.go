package source

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAPanicIsOneRepositorysFailure(t *testing.T) {
	at := &location{display: "https://host/apps", auth: Auth{Username: "ann", Password: "s3cret"}}
	_, err := at.guard(t.Context(), func(context.Context) (any, error) { panic("index out of range near s3cret") })
	var known *Error
	if !errors.As(err, &known) || known.Reason != FetchFailed || !strings.Contains(err.Error(), "index out of range") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a panic became %v", err)
	}
}
