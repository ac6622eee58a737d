package render

import (
	"context"
	"errors"
	"fmt"
)

// UnshownError tells why Sketch has nothing to show. On a cluster it may go well.
type UnshownError struct {
	OnCluster string
	Err       error // without the cluster
}

func (e *UnshownError) Error() string {
	return fmt.Sprintf("is rendered on the cluster, for its %s; it cannot be shown without: %s", e.OnCluster, e.Err)
}

// Sketch renders where no cluster can be asked. What Render leaves to the cluster is shown as on one where lookup finds nothing
// and valuesFrom has no values: OnCluster then tells why a cluster may get something else. An error that only lack of what
// the cluster knows explains is an *UnshownError; others are those of Render.
func Sketch(ctx context.Context, in Input, caps *Capabilities) (*Output, error) {
	out, err := Render(ctx, in, caps)
	if err != nil || out.OnCluster == "" {
		return out, err
	}
	why, unknown := out.OnCluster, in.Options.Helm != nil && len(in.Options.Helm.ValuesFrom) > 0
	out, err = RenderOn(ctx, in, Cluster{Capabilities: *caps, Lookup: func(Lookup) (map[string]any, error) {
		unknown = true
		return nil, nil
	}})
	var syntax syntaxError
	switch {
	case err == nil:
		out.OnCluster = why
		return out, nil
	case ctx.Err() != nil, !unknown, errors.As(err, &syntax):
		return nil, err
	}
	return nil, &UnshownError{why, err}
}
