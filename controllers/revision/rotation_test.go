package revision

import (
	"maps"
	"testing"
)

func TestUnrotated(t *testing.T) {
	chosen := []Reference{
		{Secret: "s", Key: "password"}, {Secret: "s", Key: "port", Choice: "database", Optional: true}, {Secret: "s", Key: "next", Optional: true}, {Secret: "t", Key: "new"},
	}
	then := map[string]string{"s/password": "1", "s/gone": "1"}
	for name, test := range map[string]struct{ now, then, want map[string]string }{
		"a changed value is the one of then":        {map[string]string{"s/password": "2"}, then, map[string]string{"s/password": "1"}},
		"an unchanged value stays":                  {map[string]string{"s/password": "1"}, then, map[string]string{"s/password": "1"}},
		"a new reference counts as it is now":       {map[string]string{"s/password": "2", "t/new": "3"}, then, map[string]string{"s/password": "1", "t/new": "3"}},
		"pods wait for an optional key anyway":      {map[string]string{"s/password": "1", "s/next": "3"}, then, map[string]string{"s/password": "1"}},
		"but not for one that decides about a form": {map[string]string{"s/password": "1", "s/port": "3"}, then, map[string]string{"s/password": "1", "s/port": "3"}},
		"an optional key that was there is kept":    {map[string]string{"s/next": "4"}, map[string]string{"s/next": "3"}, map[string]string{"s/next": "3"}},
		"an optional key that is gone is kept":      {map[string]string{"s/password": "1"}, map[string]string{"s/password": "1", "s/next": "3"}, map[string]string{"s/password": "1", "s/next": "3"}},
		"but not one that decides about a form":     {map[string]string{"s/password": "1"}, map[string]string{"s/password": "1", "s/port": "3"}, map[string]string{"s/password": "1"}},
		"a key that is gone is gone":                {map[string]string{}, then, map[string]string{}},
		"nothing is known of then":                  {map[string]string{"s/password": "2"}, nil, map[string]string{"s/password": "2"}},
	} {
		if got := Unrotated(chosen, test.now, test.then); !maps.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
