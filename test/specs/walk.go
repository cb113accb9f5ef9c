package specs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
)

// longest is the longest name of an instance.
const longest = 40

// Make returns an accepted instance. The same seed gives the same one.
func (s *Schema) Make(seed uint64) map[string]any {
	w := &walker{Rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // it has to be repeatable
	object := runtime.DeepCopyJSON(s.starts[w.IntN(len(s.starts))])
	object["metadata"] = map[string]any{"name": w.name(), "namespace": "default"}
	spec := s.structural.Properties["spec"]
	for range 1 + w.IntN(60) {
		next := runtime.DeepCopyJSON(object)
		if w.once(3) {
			next["spec"] = w.touch(&spec, next["spec"])
		} else {
			for _, field := range w.fields(s.fields) {
				next["spec"] = w.reach(&spec, next["spec"], strings.Split(field, ".")[1:])
			}
		}
		if s.Refusal(next) == nil {
			object = next
		}
	}
	return object
}

// A walker changes values at random.
type walker struct{ *rand.Rand }

// once is true once in n times.
func (w *walker) once(n int) bool { return w.IntN(n) == 0 }

func (w *walker) name() string {
	const first, all = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789-"
	length := 1 + w.IntN(longest)
	if w.once(4) {
		length = longest
	}
	text := []byte{first[w.IntN(len(first))]}
	for len(text) < length {
		text = append(text, all[w.IntN(len(all))])
	}
	if text[len(text)-1] == '-' {
		text[len(text)-1] = '0'
	}
	return string(text)
}

// fields chooses a field, and now and then one beside it: some are only allowed together.
func (w *walker) fields(all []string) []string {
	at := w.IntN(len(all))
	if !w.once(3) {
		return all[at : at+1]
	}
	group := all[at]
	for range 1 + w.IntN(2) {
		group = group[:max(strings.LastIndex(group, "."), 0)]
	}
	from := at
	for from > 0 && strings.HasPrefix(all[from-1], group+".") {
		from--
	}
	to := at + 1
	for to < len(all) && strings.HasPrefix(all[to], group+".") {
		to++
	}
	return []string{all[from+w.IntN(to-from)], all[at]}
}

// reach sets one given field anew, with what it takes on the way there: else those that lie deep would never be seen.
func (w *walker) reach(n *structuralschema.Structural, value any, path []string) any {
	if list := n.Items; list != nil && (len(path) > 0 || list.Type == "object") {
		elements, _ := value.([]any)
		if len(elements) == 0 || w.once(3) {
			elements = append(elements, w.fresh(list, deep))
		}
		at := w.IntN(len(elements))
		elements[at] = w.reach(list, elements[at], path)
		return elements
	}
	if len(path) == 0 || n.Type != "object" {
		return w.fresh(n, 0)
	}
	object, ok := value.(map[string]any)
	if !ok {
		object = w.freshObject(n, deep)
	}
	name := strings.TrimSuffix(path[0], "[]")
	below := n.Properties[name]
	w.union(n, object, name)
	object[name] = w.reach(&below, object[name], path[1:])
	return object
}

// deep is a depth at which little but what is required is made.
const deep = 8

// touch changes one thing in a value of a type, or makes one where there is none.
func (w *walker) touch(n *structuralschema.Structural, value any) any {
	switch v := value.(type) {
	case map[string]any:
		if n.AdditionalProperties != nil {
			return w.touchMap(n, v)
		}
		return w.touchObject(n, v)
	case []any:
		return w.touchList(n, v)
	default:
		return w.fresh(n, 0)
	}
}

func (w *walker) touchObject(n *structuralschema.Structural, object map[string]any) map[string]any {
	if len(n.Properties) == 0 {
		return object
	}
	name := w.property(n)
	property := n.Properties[name]
	_, there := object[name]
	switch {
	case there && w.once(8) && !slices.Contains(n.ValueValidation.Required, name):
		delete(object, name)
	case there && !w.once(4):
		object[name] = w.touch(&property, object[name])
	default:
		object[name] = w.fresh(&property, 0)
	}
	w.union(n, object, name)
	return object
}

// property chooses a property, groups with much in them more often than single values.
func (w *walker) property(n *structuralschema.Structural) string {
	names := slices.Sorted(maps.Keys(n.Properties))
	sum, weights := 0, make([]int, len(names))
	for i, name := range names {
		below := n.Properties[name]
		weights[i] = min(leaves(&below), 40)
		sum += weights[i]
	}
	at := w.IntN(sum)
	for i, weight := range weights {
		if at -= weight; at < 0 {
			return names[i]
		}
	}
	return names[0]
}

// leaves counts the values below a node.
func leaves(n *structuralschema.Structural) int {
	sum := 0
	for name := range n.Properties {
		below := n.Properties[name]
		sum += leaves(&below)
	}
	if n.Items != nil {
		sum += leaves(n.Items)
	}
	return max(sum, 1)
}

// union keeps type and member of a union together: the rules would refuse almost every change else.
func (w *walker) union(n *structuralschema.Structural, object map[string]any, changed string) {
	kinds := kindsOf(n)
	if len(kinds) == 0 {
		return
	}
	for _, kind := range kinds {
		if strings.EqualFold(kind, changed) {
			object["type"] = kind
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		kind, _ := object["type"].(string)
		member := slices.ContainsFunc(kinds, func(k string) bool { return strings.EqualFold(k, name) })
		_, there := object[name]
		switch mine := strings.EqualFold(kind, name); {
		case member && !mine:
			delete(object, name)
		case mine && !there && !w.once(3):
			below := n.Properties[name]
			object[name] = w.fresh(&below, 1)
		}
	}
}

// kindsOf lists the values of a union's type.
func kindsOf(n *structuralschema.Structural) []string {
	property, ok := n.Properties["type"]
	if !ok {
		return nil
	}
	return enum(&property)
}

func enum(n *structuralschema.Structural) []string {
	if n.ValueValidation == nil {
		return nil
	}
	var all []string
	for _, v := range n.ValueValidation.Enum {
		if text, ok := v.Object.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func (w *walker) touchMap(n *structuralschema.Structural, values map[string]any) map[string]any {
	keys := slices.Sorted(maps.Keys(values))
	if len(keys) > 0 && w.once(3) {
		delete(values, keys[w.IntN(len(keys))])
		return values
	}
	values[w.key()] = w.fresh(n.AdditionalProperties.Structural, 1)
	return values
}

func (w *walker) touchList(n *structuralschema.Structural, list []any) []any {
	switch at := w.IntN(len(list) + 1); {
	case at == len(list):
		return append(list, w.fresh(n.Items, 1))
	case w.once(4):
		return slices.Delete(list, at, at+1)
	default:
		list[at] = w.touch(n.Items, list[at])
		return list
	}
}

// fresh makes a value of a type. The deeper it is, the fewer optional things it has.
func (w *walker) fresh(n *structuralschema.Structural, depth int) any {
	switch {
	case n.XIntOrString:
		return w.quantity()
	case n.Type == "object" && n.AdditionalProperties != nil:
		values := map[string]any{}
		for range w.IntN(3) {
			values[w.key()] = w.fresh(n.AdditionalProperties.Structural, depth+1)
		}
		return values
	case n.Type == "object":
		return w.freshObject(n, depth)
	case n.Type == "array":
		return w.freshList(n, depth)
	case n.Type == "integer":
		return w.integer(n)
	case n.Type == "string":
		return w.text(n)
	case n.Type == "boolean":
		return w.once(2)
	default:
		panic(fmt.Sprintf("the schema has a value of type %q, of which nobody has thought", n.Type))
	}
}

func (w *walker) freshObject(n *structuralschema.Structural, depth int) map[string]any {
	object := map[string]any{}
	var required []string
	if n.ValueValidation != nil {
		required = n.ValueValidation.Required
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		below := n.Properties[name]
		if slices.Contains(required, name) || w.once(2+2*depth) {
			object[name] = w.fresh(&below, depth+1)
		}
	}
	w.union(n, object, "")
	return object
}

func (w *walker) freshList(n *structuralschema.Structural, depth int) []any {
	least, most := 0, 4
	if v := n.ValueValidation; v != nil {
		if v.MinItems != nil {
			least = int(*v.MinItems)
		}
		if v.MaxItems != nil {
			most = min(most, int(*v.MaxItems))
		}
		if v.MaxItems != nil && leaves(n.Items) == 1 && w.once(20) {
			least, most = int(*v.MaxItems), int(*v.MaxItems)
		}
	}
	list := []any{}
	for range least + w.IntN(max(most-least, 0)+1) {
		list = append(list, w.fresh(n.Items, depth+1))
	}
	return list
}

// Paths lists the fields that an object sets, and Fields all that can be set, by their place below spec.
func (s *Schema) Paths(object map[string]any) []string {
	spec := s.structural.Properties["spec"]
	return collect(&spec, object["spec"], "spec", false)
}

// Fields lists all fields.
func (s *Schema) Fields() []string { return s.fields }

func collect(n *structuralschema.Structural, value any, path string, all bool) []string {
	if len(n.Properties) == 0 && n.Items == nil {
		return []string{path}
	}
	var paths []string
	if n.Items != nil {
		list, _ := value.([]any)
		if all {
			list = []any{nil}
		}
		for _, v := range list {
			paths = append(paths, collect(n.Items, v, path+"[]", all)...)
		}
		return paths
	}
	object, _ := value.(map[string]any)
	for name := range n.Properties {
		below := n.Properties[name]
		if v, there := object[name]; there || all {
			paths = append(paths, collect(&below, v, path+"."+name, all)...)
		}
	}
	return paths
}
