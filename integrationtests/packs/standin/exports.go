package main

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// exports does what Lighthouse would: it says of each ServiceExport whether the Service is there.
func (m *member) exports(ctx context.Context) error {
	all := list("multicluster.x-k8s.io/v1alpha1", "ServiceExportList")
	if err := m.List(ctx, all); meta.IsNoMatchError(err) {
		return nil
	} else if err != nil {
		return err
	}
	for i := range all.Items {
		u := &all.Items[i]
		service := object("v1", "Service", u.GetNamespace(), u.GetName())
		err := m.Get(ctx, client.ObjectKeyFromObject(service), service)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		status, message := "True", ""
		if err != nil {
			status, message = "False", "there is no Service "+u.GetNamespace()+"/"+u.GetName()
		}
		var conditions []any
		for _, kind := range []string{"Valid", "Ready"} {
			conditions = append(conditions, map[string]any{"type": kind, "status": status, "message": message})
		}
		if err := setStatus(ctx, m, u, map[string]any{"conditions": conditions}, true); err != nil {
			return err
		}
	}
	return nil
}
