package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// outputs shows what clusters report as outputs, where that is a number. What is sensitive is sealed here too, and not shown.
type outputs struct{}

const (
	outputName = "flotilla_output_value"
	outputHead = "# HELP " + outputName + " An output of a bundle on a cluster: a number, 1 or 0 for true or false, a time in seconds since 1970.\n" +
		"# TYPE " + outputName + " gauge\n"
)

func (outputs) write(ctx context.Context, cache client.Reader, out *bufio.Writer) {
	list := &fleet.BundleDeploymentList{}
	if err := cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is ending, and this program with it
	}
	var line []byte
	for i := range list.Items {
		l := list.Items[i].Labels
		for _, v := range list.Items[i].Status.Outputs {
			number, ok := numberOf(&v)
			if !ok {
				continue
			}
			if line == nil {
				_, _ = out.WriteString(outputHead)
			}
			line = append(line[:0], outputName+"{"...)
			for n, label := range [...][2]string{
				{"bundle", l[fleet.BundleLabel]}, {"bundle_namespace", l[fleet.BundleNamespaceLabel]}, {"cluster_name", l[fleet.ClusterLabel]},
				{"cluster_namespace", l[fleet.ClusterNamespaceLabel]}, {"output", v.Name}, {"each", v.Each},
			} {
				line = appendLabel(line, n, label[0], label[1])
			}
			line = append(strconv.AppendFloat(append(line, "} "...), number, 'g', -1, 64), '\n')
			_, _ = out.Write(line)
		}
	}
}

// numberOf is what an output is as a number, if it is one.
func numberOf(v *fleet.OutputValue) (float64, bool) {
	if v.Value == nil {
		return 0, false
	}
	var value any
	if json.Unmarshal(v.Value.Raw, &value) != nil {
		return 0, false
	}
	switch value := value.(type) {
	case float64:
		return value, true
	case bool:
		if value {
			return 1, true
		}
		return 0, true
	case string:
		at, err := time.Parse(time.RFC3339, value)
		return float64(at.Unix()), err == nil
	}
	return 0, false
}
