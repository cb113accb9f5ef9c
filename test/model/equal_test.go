package model

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// TestSameStatusSeesEveryField changes each field of a full status in turn.
func TestSameStatusSeesEveryField(t *testing.T) {
	var full v1alpha1.EngLogInstanceStatus
	fill(reflect.ValueOf(&full).Elem())
	if !sameStatus(&full, full.DeepCopy()) {
		t.Fatal("a copy is not the same")
	}
	n := 0
	for i := range leaves(reflect.ValueOf(&full).Elem(), "status") {
		changed := full.DeepCopy()
		leaf := leaves(reflect.ValueOf(changed).Elem(), "status")[i]
		alter(leaf.value)
		if sameStatus(&full, changed) {
			t.Errorf("a change of %s is not noticed", leaf.path)
		}
		n++
	}
	if n < 80 {
		t.Errorf("only %d fields were tried", n)
	}
}

type leaf struct {
	path  string
	value reflect.Value
}

func leaves(v reflect.Value, path string) []leaf {
	switch {
	case v.Type() == reflect.TypeFor[metav1.Time](), v.Type() == reflect.TypeFor[metav1.MicroTime]():
		return []leaf{{path, v}}
	case v.Kind() == reflect.Pointer:
		return leaves(v.Elem(), path)
	case v.Kind() == reflect.Slice:
		return leaves(v.Index(0), path+"[0]")
	case v.Kind() == reflect.Struct:
		var all []leaf
		for i := range v.NumField() {
			all = append(all, leaves(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return all
	default:
		return []leaf{{path, v}}
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[metav1.Time]() || v.Type() == reflect.TypeFor[metav1.MicroTime]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
	}
}

func alter(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[metav1.MicroTime]() {
			v.Set(reflect.ValueOf(metav1.NewMicroTime(time.Unix(9, 0))))
			return
		}
		v.Set(reflect.ValueOf(metav1.NewTime(time.Unix(9, 0))))
	default:
	}
}
