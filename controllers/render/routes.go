package render

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

func routes(Input, plan.Ensure) ([]runtime.ApplyConfiguration, error) { return nil, nil }

func monitoring(Input, plan.Ensure) ([]runtime.ApplyConfiguration, error) { return nil, nil }
