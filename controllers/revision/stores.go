package revision

import (
	"fmt"
	"net/url"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Keys of a Managed store's Secret that hold what was made up. The rest of the Secret follows from them.
const (
	passwordKey          = "password"
	ownerPasswordKey     = "ownerPassword"
	superuserPasswordKey = "superuserPassword"
	usernameKey          = "username"
)

// ManagedStores lists the stores that the operator runs for a spec.
func ManagedStores(spec v1alpha1.EngLogInstanceSpec) []string {
	var all []string
	if spec.Database.Type == v1alpha1.StoreManaged {
		all = append(all, Database)
	}
	if spec.Cache.Type == v1alpha1.StoreManaged {
		all = append(all, Cache)
	}
	return all
}

// StoreCredentials completes the content of a Managed store's Secret, under the keys that External databases use too. What the Secret has
// is kept: the volume was made with it, or a person has rotated it. Random gives letters, digits, '-' and '_' only, since the values go into URIs and into SQL.
func StoreCredentials(instance *v1alpha1.EngLogInstance, store string, have map[string][]byte, random func() []byte) map[string][]byte {
	out := map[string][]byte{}
	made := func(key string) string {
		value := have[key]
		if len(value) == 0 {
			value = random()
		}
		out[key] = value
		return string(value)
	}
	host := fmt.Sprintf("%s.%s.svc", StoreName(instance.Name, store), instance.Namespace)
	if store == Cache {
		password := made(passwordKey)
		set(out, map[string]string{"host": host, "port": "6379", "uri": uri("redis", "", password, host, "6379", "0", "")})
		return out
	}
	made(superuserPasswordKey)
	user := "englog"
	if given := have[usernameKey]; len(given) > 0 { // a second role, to rotate without a gap
		user = string(given)
	}
	service, owner := made(passwordKey), made(ownerPasswordKey)
	set(out, map[string]string{
		"host": host, "port": "5432", "dbname": "englog", usernameKey: user,
		"uri":      uri("postgres", user, service, host, "5432", "englog", "sslmode=disable"),
		"ownerURI": uri("postgres", "englog_owner", owner, host, "5432", "englog", "sslmode=disable"),
	})
	return out
}

func set(out map[string][]byte, values map[string]string) {
	for key, value := range values {
		out[key] = []byte(value)
	}
}

func uri(scheme, user, password, host, port, name, query string) string {
	u := url.URL{Scheme: scheme, User: url.UserPassword(user, password), Host: host + ":" + port, Path: "/" + name, RawQuery: query}
	return u.String()
}
