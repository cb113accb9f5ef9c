package revision

import (
	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// The groups of credentials: each is a directory of files in the pods. Env is not one: its keys become variables.
const (
	Database   = "database"
	Migration  = "migration"
	Cache      = "cache"
	Auth       = "auth"
	AI         = "ai"
	Mail       = "mail"
	DatabaseCA = "database-ca"
	CacheCA    = "cache-ca"
	Env        = "env"
)

// Reference is one key of one Secret that a spec needs, and how the pods get it. The digests of all references that exist are part of
// the revision's hash: a new content is verified like any other change.
type Reference struct {
	Secret string
	Key    string
	// Optional keys may be absent; their mount waits for them.
	Optional bool
	// Purpose says in words what the key holds.
	Purpose string
	// Field is the field of the spec that names it, for the remedy.
	Field string
	// Group is the directory it is mounted in, File its name there, and Variable the environment variable that it answers for.
	Group, File, Variable string
	// Choice names a set of alternatives, of which one Form has to be complete; earlier forms are preferred.
	Choice, Form string
	// Components are the components whose pods need it; the Jobs of migrations follow the groups Database and Migration.
	Components []v1alpha1.ComponentName
}

// ID is the name of the reference in the map of digests.
func (r Reference) ID() string { return r.Secret + "/" + r.Key }

// GeneratedName is the name of the Secret in which the operator keeps what it made up.
func GeneratedName(instance string) string { return instance + "-generated" }

// StoreName is the name of a Managed store's objects and of the Secret with its credentials.
func StoreName(instance, store string) string { return instance + "-" + store }

// References lists every key of every Secret that a resolved spec needs, in a stable order.
func References(instance string, spec v1alpha1.EngLogInstanceSpec) []Reference {
	l := &lister{instance: instance, spec: spec.WithDefaults(), own: instance + "-secrets"}
	if k := l.spec.Secrets.Kubernetes; k != nil && k.Name != "" {
		l.own = k.Name
	}
	l.database()
	l.cache()
	l.auth()
	l.ai()
	l.mail()
	l.env()
	return l.all
}

type lister struct {
	instance string
	spec     v1alpha1.EngLogInstanceSpec
	own      string
	all      []Reference
}

var (
	backends  = []v1alpha1.ComponentName{v1alpha1.API, v1alpha1.Worker}
	apis      = []v1alpha1.ComponentName{v1alpha1.API}
	workers   = []v1alpha1.ComponentName{v1alpha1.Worker}
	frontends = []v1alpha1.ComponentName{v1alpha1.Frontend}
)

// add completes references with what they have in common.
func (l *lister) add(common Reference, references ...Reference) {
	if common.Secret == "" {
		common.Secret = l.own
	}
	for _, r := range references {
		r.Secret, r.Group, r.Field, r.Components, r.Choice = common.Secret, common.Group, common.Field, common.Components, common.Choice
		l.all = append(l.all, r)
	}
}

// The forms of a credential.
const (
	formURI       = "uri"
	formParts     = "parts"
	formGiven     = "given"
	formGenerated = "generated"
)

func (l *lister) database() {
	if l.spec.Database.Type == v1alpha1.StoreManaged {
		l.managedDatabase()
		return
	}
	e := l.spec.Database.External
	common := Reference{Secret: e.SecretRef.Name, Group: Database, Field: "spec.database.external.secretRef", Components: backends}
	l.databaseForms(common, *e.SecretRef.Keys, e.Host != "")
	switch {
	case e.MigrationSecretRef != nil:
		owner := Reference{Secret: e.MigrationSecretRef.Name, Group: Migration, Field: "spec.database.external.migrationSecretRef"}
		l.databaseForms(owner, *e.MigrationSecretRef.Keys, e.Host != "")
	case e.Pooling == v1alpha1.PoolingTransaction:
		common.Group, common.Components = Migration, nil
		l.add(common, Reference{Key: string(e.SecretRef.Keys.DirectURI), File: "directURI", Variable: "DATABASE_URL", Purpose: "URI past the pooler, for migrations"})
	}
	if tls := e.TLS; tls.CASecretRef != nil {
		ca := Reference{Secret: tls.CASecretRef.Name, Group: DatabaseCA, Field: "spec.database.external.tls.caSecretRef", Components: backends}
		l.add(ca, Reference{Key: string(tls.CASecretRef.Key), File: "ca.crt", Variable: "DB_SSLROOTCERT", Purpose: "certificates that sign the database's"})
	}
}

// databaseForms are one URI, or parts of which the spec may give some. A spec that names the host means parts first.
func (l *lister) databaseForms(common Reference, k v1alpha1.DatabaseSecretKeys, hostGiven bool) {
	common.Choice = common.Group
	uri := Reference{Key: string(k.URI), File: "uri", Variable: "DATABASE_URL", Form: formURI, Purpose: "connection URI of the database"}
	parts := []Reference{
		{Key: string(k.Host), File: "host", Variable: "DB_HOST", Optional: hostGiven, Purpose: "host of the database"},
		{Key: string(k.Port), File: "port", Variable: "DB_PORT", Optional: true, Purpose: "port of the database"},
		{Key: string(k.Name), File: "dbname", Variable: "DB_NAME", Optional: true, Purpose: "name of the database"},
		{Key: string(k.User), File: "username", Variable: "DB_USER", Optional: true, Purpose: "role of the database"},
		{Key: string(k.Password), File: "password", Variable: "DB_PASSWORD", Purpose: "password of the database"},
	}
	l.addForms(common, uri, parts, hostGiven)
}

func (l *lister) addForms(common, uri Reference, parts []Reference, partsFirst bool) {
	for i := range parts {
		parts[i].Form = formParts
	}
	if !partsFirst {
		l.add(common, uri)
	}
	l.add(common, parts...)
	if partsFirst {
		l.add(common, uri)
	}
}

// managedDatabase refers to what the operator makes up: the service's own role, and the owner's for migrations.
func (l *lister) managedDatabase() {
	common := Reference{Secret: StoreName(l.instance, Database), Group: Database, Field: "spec.database.managed", Components: backends}
	l.add(common, Reference{Key: "uri", File: "uri", Variable: "DATABASE_URL", Purpose: "connection URI of the managed database"})
	common.Group, common.Components = Migration, nil
	l.add(common, Reference{Key: "ownerURI", File: "uri", Variable: "DATABASE_URL", Purpose: "connection URI of the managed database's owner"})
}

func (l *lister) cache() {
	common := Reference{Group: Cache, Components: backends, Field: "spec.cache.managed"}
	if l.spec.Cache.Type == v1alpha1.StoreManaged {
		common.Secret = StoreName(l.instance, Cache)
		l.add(common, Reference{Key: "uri", File: "uri", Variable: "REDIS_URL", Purpose: "connection URI of the managed Redis"})
		return
	}
	e := l.spec.Cache.External
	k := e.SecretRef.Keys
	common.Secret, common.Choice, common.Field = e.SecretRef.Name, Cache, "spec.cache.external.secretRef"
	uri := Reference{Key: string(k.URI), File: "uri", Variable: "REDIS_URL", Form: formURI, Purpose: "connection URI of Redis"}
	parts := []Reference{
		{Key: string(k.Host), File: "host", Variable: "REDIS_HOST", Optional: e.Host != "", Purpose: "host of Redis"},
		{Key: string(k.Port), File: "port", Variable: "REDIS_PORT", Optional: true, Purpose: "port of Redis"},
		{Key: string(k.User), File: "username", Variable: "REDIS_USER", Optional: true, Purpose: "ACL user of Redis"},
		{Key: string(k.Password), File: "password", Variable: "REDIS_PASSWORD", Optional: true, Purpose: "password of Redis"},
	}
	l.addForms(common, uri, parts, e.Host != "")
	if tls := e.TLS; tls.CASecretRef != nil {
		ca := Reference{Secret: tls.CASecretRef.Name, Group: CacheCA, Field: "spec.cache.external.tls.caSecretRef", Components: backends}
		l.add(ca, Reference{Key: string(tls.CASecretRef.Key), File: "ca.crt", Variable: "REDIS_TLS_CA", Purpose: "certificates that sign Redis'"})
	}
}

// auth mounts the optional keys whether they exist or not: running pods take a previous or next key up as soon as it is there, which is
// what makes a rotation safe in both colors.
func (l *lister) auth() {
	ref := l.spec.Auth.SecretRef
	common := Reference{Secret: ref.Name, Group: Auth, Field: "spec.auth.secretRef", Components: apis}
	l.generable(common, Reference{Key: string(ref.Keys.Current), File: "JWT_SECRET", Variable: "JWT_SECRET", Purpose: "secret that signs tokens"})
	l.add(common,
		Reference{Key: string(ref.Keys.Previous), File: "JWT_SECRET_PREVIOUS", Variable: "JWT_SECRET_PREVIOUS", Optional: true, Purpose: "secret that signed tokens before"},
		Reference{Key: string(ref.Keys.Next), File: "JWT_SECRET_NEXT", Variable: "JWT_SECRET_NEXT", Optional: true, Purpose: "secret that will sign tokens next"},
	)
	if l.spec.Auth.Registration != v1alpha1.RegistrationOpen {
		l.generable(common, Reference{
			Key: string(ref.Keys.BootstrapInvite), File: "BOOTSTRAP_INVITE", Variable: "BOOTSTRAP_INVITE",
			Optional: l.spec.Secrets.Generate != v1alpha1.SecretGenerationIfMissing, Purpose: "invitation for the first account",
		})
	}
	common.Components = frontends
	disabled := l.spec.Frontend.Mode == v1alpha1.ModeDisabled
	l.generable(common, Reference{Key: string(ref.Keys.Session), File: "SESSION_KEY", Variable: "SESSION_KEY", Optional: disabled, Purpose: "secret that seals the frontend's cookie"})
}

// generable is a random secret that the operator may make up when the user gives none.
func (l *lister) generable(common, r Reference) {
	if l.spec.Secrets.Generate != v1alpha1.SecretGenerationIfMissing || r.Optional {
		l.add(common, r)
		return
	}
	common.Choice, r.Form = r.Variable, formGiven
	l.add(common, r)
	common.Secret, r.Key, r.Form = GeneratedName(l.instance), r.Variable, formGenerated
	l.add(common, r)
}

func (l *lister) ai() {
	for _, p := range l.spec.AI.Providers {
		common := Reference{Group: AI, Components: workers, Field: "spec.ai.providers[" + p.Name + "]"}
		switch p.Type {
		case v1alpha1.AIProviderOpenAI:
			common.Secret = p.OpenAI.APIKeySecretRef.Name
			l.add(common, Reference{
				Key: string(p.OpenAI.APIKeySecretRef.Key), File: "OPENAI_API_KEY", Variable: "OPENAI_API_KEY",
				Optional: p.OpenAI.BaseURL != "", Purpose: "API key of OpenAI", // a compatible server of one's own may need none
			})
		case v1alpha1.AIProviderAzureOpenAI:
			common.Secret = p.AzureOpenAI.APIKeySecretRef.Name
			l.add(common, Reference{
				Key: string(p.AzureOpenAI.APIKeySecretRef.Key), File: "AZURE_API_KEY", Variable: "AZURE_API_KEY", Purpose: "API key of Azure OpenAI",
			})
		case v1alpha1.AIProviderOllama, v1alpha1.AIProviderBuiltin:
		}
	}
}

func (l *lister) mail() {
	smtp := l.spec.Mail.SMTP
	if smtp == nil || smtp.PasswordSecretRef == nil {
		return
	}
	common := Reference{Secret: smtp.PasswordSecretRef.Name, Group: Mail, Field: "spec.mail.smtp.passwordSecretRef", Components: backends}
	l.add(common, Reference{Key: string(smtp.PasswordSecretRef.Key), File: "SMTP_PASSWORD", Variable: "SMTP_PASSWORD", Purpose: "password of the SMTP server"})
}

// env lists the keys that become variables of their own.
func (l *lister) env() {
	for _, c := range []struct {
		name v1alpha1.ComponentName
		spec v1alpha1.ComponentSpec
	}{{v1alpha1.API, l.spec.API.ComponentSpec}, {v1alpha1.Worker, l.spec.Worker.ComponentSpec}, {v1alpha1.Frontend, l.spec.Frontend.ComponentSpec}} {
		for _, v := range c.spec.Env {
			if v.SecretKey == nil {
				continue
			}
			common := Reference{
				Secret: l.named(v.SecretKey.Secret), Group: Env, Field: "spec." + string(c.name) + ".env[" + v.Name + "]",
				Components: []v1alpha1.ComponentName{c.name},
			}
			l.add(common, Reference{Key: v.SecretKey.Key, Variable: v.Name, Purpose: "value of " + v.Name})
		}
	}
}

// named is the Secret that an environment variable may take a key of; empty means the instance's own.
func (l *lister) named(s v1alpha1.EnvSecret) string {
	switch s {
	case v1alpha1.EnvSecretDatabase:
		if l.spec.Database.External == nil {
			return StoreName(l.instance, Database)
		}
		return l.spec.Database.External.SecretRef.Name
	case v1alpha1.EnvSecretCache:
		if l.spec.Cache.External == nil {
			return StoreName(l.instance, Cache)
		}
		return l.spec.Cache.External.SecretRef.Name
	case v1alpha1.EnvSecretAuth:
		return l.spec.Auth.SecretRef.Name
	case v1alpha1.EnvSecretMail:
		if smtp := l.spec.Mail.SMTP; smtp != nil && smtp.PasswordSecretRef != nil {
			return smtp.PasswordSecretRef.Name
		}
	case v1alpha1.EnvSecretInstance:
	}
	return ""
}
