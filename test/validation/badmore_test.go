package validation

var badSecrets = []badSpec{
	{"type missing", `spec: {secrets: {generate: Never}}`, []string{"spec.secrets.type", "Required value"}},
	{"rotation unknown", `spec: {secrets: {type: Kubernetes, rotation: Restart}}`, []string{"spec.secrets.rotation", `"Rollout"`, `"Ignore"`}},
	{"type unknown", `spec: {secrets: {type: Vault}}`, []string{"spec.secrets.type", `"Kubernetes"`, `"AWSSecretsManager"`}},
	{
		"AWS beside Kubernetes", `spec: {secrets: {type: Kubernetes, awsSecretsManager: {}}}`,
		[]string{"spec.secrets", "awsSecretsManager: is only allowed while type is AWSSecretsManager"},
	},
	{
		"Kubernetes beside AWS", `spec: {secrets: {type: AWSSecretsManager, kubernetes: {name: a}}}`,
		[]string{"spec.secrets", "kubernetes: is only allowed while type is Kubernetes"},
	},
	{"region unknown", `spec: {secrets: {type: AWSSecretsManager, awsSecretsManager: {region: oregon}}}`, []string{"spec.secrets.awsSecretsManager.region", "us-west-2"}},
	{"secret id with space", `spec: {secrets: {type: AWSSecretsManager, awsSecretsManager: {secretID: "a b"}}}`, []string{"spec.secrets.awsSecretsManager.secretID", "name or ARN"}},
	{
		"refreshed too often", `spec: {secrets: {type: AWSSecretsManager, awsSecretsManager: {refreshIntervalSeconds: 5}}}`,
		[]string{"spec.secrets.awsSecretsManager.refreshIntervalSeconds", "greater than or equal to 60"},
	},
	{
		"access token outlives refresh token", `spec: {auth: {accessTokenSeconds: 900, refreshTokenSeconds: 900}}`,
		[]string{"spec.auth", "accessTokenSeconds: must be less than refreshTokenSeconds", "lower it or raise"},
	},
	{"duration as text", `spec: {auth: {sessionTimeoutSeconds: 24h}}`, []string{"spec.auth.sessionTimeoutSeconds", "integer"}},
	{"salt rounds too few", `spec: {auth: {passwordSaltRounds: 4}}`, []string{"spec.auth.passwordSaltRounds", "greater than or equal to 10"}},
	{"registration unknown", `spec: {auth: {registration: Friends}}`, []string{"spec.auth.registration", `"Closed"`}},
}

var badAI = []badSpec{
	{"provider without type", `spec: {ai: {providers: [{name: a}]}}`, []string{"spec.ai.providers[0].type", "Required value"}},
	{"provider unknown", `spec: {ai: {providers: [{name: a, type: Claude}]}}`, []string{"spec.ai.providers[0].type", `"Ollama"`}},
	{"provider name with space", `spec: {ai: {providers: [{name: "a b", type: Builtin}]}}`, []string{"spec.ai.providers[0].name", "lower-case letters"}},
	{"empty list", `spec: {ai: {providers: []}}`, []string{"spec.ai.providers", "at least 1 items"}},
	{"provider twice", `spec: {ai: {providers: [{name: a, type: OpenAI}, {name: a, type: Builtin}]}}`, []string{"spec.ai.providers[1]", "Duplicate value"}},
	{
		"two of one type", `spec: {ai: {providers: [{name: a, type: OpenAI}, {name: b, type: OpenAI}]}}`,
		[]string{"spec.ai", "providers: must not hold two providers of one type", "remove one of them"},
	},
	{
		"Ollama without endpoint", `spec: {ai: {providers: [{name: a, type: Ollama}]}}`,
		[]string{"spec.ai.providers[0]", "ollama: is required while type is Ollama", "give endpoint"},
	},
	{
		"Ollama on localhost", `spec: {ai: {providers: [{name: a, type: Ollama, ollama: {endpoint: "http://localhost:11434"}}]}}`,
		[]string{"spec.ai.providers[0].ollama.endpoint", "must not be localhost", "name the Service"},
	},
	{
		"Azure without member", `spec: {ai: {providers: [{name: a, type: AzureOpenAI}]}}`,
		[]string{"spec.ai.providers[0]", "azureOpenAI: is required while type is AzureOpenAI", "endpoint, deployment and apiVersion"},
	},
	{
		"Azure without deployment", `spec: {ai: {providers: [{name: a, type: AzureOpenAI, azureOpenAI: {endpoint: "https://x.example", apiVersion: "2024-10-21"}}]}}`,
		[]string{"spec.ai.providers[0].azureOpenAI.deployment", "Required value"},
	},
	{
		"Azure with an odd version", `spec: {ai: {providers: [{name: a, type: AzureOpenAI, azureOpenAI: {endpoint: "https://x.example", deployment: d, apiVersion: v1}}]}}`,
		[]string{"spec.ai.providers[0].azureOpenAI.apiVersion", "2024-10-21"},
	},
	{
		"member of another type", `spec: {ai: {providers: [{name: a, type: Builtin, openAI: {model: m}}]}}`,
		[]string{"spec.ai.providers[0]", "openAI: is only allowed while type is OpenAI"},
	},
	{
		"key in the URL", `spec: {ai: {providers: [{name: a, type: OpenAI, openAI: {baseURL: "https://me:secret@api.example"}}]}}`,
		[]string{"spec.ai.providers[0].openAI.baseURL", "without user"},
	},
	{
		"Builtin in Production", `spec: {environment: Production, ai: {providers: [{name: a, type: Builtin}]}}`,
		[]string{"spec", "ai.providers: Builtin", "refused in Production", "use OpenAI, AzureOpenAI or Ollama"},
	},
	{
		"slower than an answer may be", `spec: {ai: {timeoutSeconds: 30}, config: {writeTimeoutSeconds: 30}}`,
		[]string{"spec", "ai.timeoutSeconds: must be less than config.writeTimeoutSeconds", "lower it or raise"},
	},
	{
		"attempt longer than the call", `spec: {ai: {timeoutSeconds: 10, providers: [{name: a, type: OpenAI, timeoutSeconds: 11}]}}`,
		[]string{"spec.ai", "must not be more than ai.timeoutSeconds", "lower it or raise"},
	},
}

var badConfig = []badSpec{
	{"log level in lower case", `spec: {config: {logLevel: info}}`, []string{"spec.config.logLevel", `"Info"`}},
	{"port of the admin server", `spec: {config: {port: 8081}}`, []string{"spec.config", "port: must not be 8081", "choose another port"}},
	{"privileged port", `spec: {config: {port: 80}}`, []string{"spec.config.port", "greater than or equal to 1024"}},
	{"content without bound", `spec: {config: {maxContentBytes: 0}}`, []string{"spec.config.maxContentBytes", "greater than or equal to 1000"}},
	{"proxy that is no network", `spec: {config: {trustedProxies: [10.0.0.1]}}`, []string{"spec.config.trustedProxies", "CIDR", "10.0.0.0/8"}},
	{"password in the proxy's URL", `spec: {config: {proxy: {httpProxy: "http://me:pw@proxy:3128"}}}`, []string{"spec.config.proxy.httpProxy", "would see a password"}},
	{"feature as bool", `spec: {features: {beta: true}}`, []string{"spec.features.beta", "string"}},
	{"feature unknown", `spec: {features: {darkMode: Enabled}}`, []string{`unknown field "spec.features.darkMode"`}},
	{"SMTP without server", `spec: {mail: {type: SMTP}}`, []string{"spec.mail", "smtp: is required while type is SMTP", "give host and from"}},
	{"server without SMTP", `spec: {mail: {type: Disabled, smtp: {host: a, from: a@b}}}`, []string{"spec.mail", "only allowed then"}},
	{"sender without domain", `spec: {mail: {type: SMTP, smtp: {host: a, from: journal}}}`, []string{"spec.mail.smtp.from", "mail address", "journal@example.org"}},
	{
		"password without user", `spec: {mail: {type: SMTP, smtp: {host: a, from: a@b, passwordSecretRef: {name: a, key: b}}}}`,
		[]string{"spec.mail.smtp", "passwordSecretRef: has no use without user", "set user"},
	},
	{"tracing to nowhere", `spec: {tracing: {mode: Enabled}}`, []string{"spec.tracing", "endpoint: is required while mode is Enabled", "OTLP"}},
	{"endpoint without scheme", `spec: {tracing: {endpoint: "collector:4317"}}`, []string{"spec.tracing.endpoint", "http or https URL"}},
	{"sampling above a hundred", `spec: {tracing: {samplingPercentage: 101}}`, []string{"spec.tracing.samplingPercentage", "less than or equal to 100"}},
}

var badExposure = []badSpec{
	{"type missing", `spec: {exposure: {hosts: [a.example]}}`, []string{"spec.exposure.type", "Required value"}},
	{"Ingress without host", `spec: {exposure: {type: Ingress}}`, []string{"spec.exposure", "hosts: at least one is required", "api.example.org"}},
	{"Gateway without parent", `spec: {exposure: {type: Gateway, hosts: [a.example]}}`, []string{"spec.exposure", "gateway: is required while type is Gateway", "give parentRefs"}},
	{"gateway beside Ingress", `spec: {exposure: {type: Ingress, hosts: [a.example], gateway: {parentRefs: [{name: a}]}}}`, []string{"spec.exposure", "gateway: is required while type is Gateway and only allowed then"}},
	{"ingress beside Gateway", `spec: {exposure: {type: Gateway, hosts: [a.example], gateway: {parentRefs: [{name: a}]}, ingress: {}}}`, []string{"spec.exposure", "ingress: is only allowed while type is Ingress"}},
	{"hosts without a way", `spec: {exposure: {type: ClusterIP, hosts: [a.example]}}`, []string{"spec.exposure", "type: ClusterIP has no use for hosts", "set type to Ingress or Gateway"}},
	{"host with scheme", `spec: {exposure: {type: Ingress, hosts: ["https://a.example"]}}`, []string{"spec.exposure.hosts[0]", "without scheme", "api.example.org"}},
	{"wildcard host", `spec: {exposure: {type: Ingress, hosts: ["*.example.org"]}}`, []string{"spec.exposure.hosts[0]", "wildcard"}},
	{"host in upper case", `spec: {exposure: {type: Ingress, hosts: [A.example.org]}}`, []string{"spec.exposure.hosts[0]", "lower case"}},
	{"host twice", `spec: {exposure: {type: Ingress, hosts: [a.example, a.example]}}`, []string{"spec.exposure.hosts[1]", "Duplicate value"}},
	{
		"host of both components", `spec: {exposure: {type: Ingress, hosts: [a.example], frontendHosts: [a.example]}}`,
		[]string{"spec.exposure", "frontendHosts: must not hold a host that is in hosts too", "remove it from one of them"},
	},
	{
		"preview on a live host", `spec: {exposure: {type: Ingress, hosts: [a.example], previewHost: a.example}}`,
		[]string{"spec.exposure", "previewHost: must not be one of hosts or frontendHosts", "choose another host"},
	},
	{
		"hosts of a frontend that is off", `spec: {frontend: {mode: Disabled}, exposure: {type: Ingress, hosts: [a.example], frontendHosts: [b.example]}}`,
		[]string{"spec", "exposure.frontendHosts: must be empty while frontend.mode is Disabled", "enable the frontend"},
	},
	{"TLS Secret without name", `spec: {exposure: {type: Ingress, hosts: [a.example], tls: {type: Secret}}}`, []string{"spec.exposure.tls", "secret: is required while type is Secret"}},
	{"issuer without reference", `spec: {exposure: {type: Ingress, hosts: [a.example], tls: {type: CertManager}}}`, []string{"spec.exposure.tls", "certManager: is required while type is CertManager", "give issuerRef"}},
	{
		"TLS on a Gateway", `spec: {exposure: {type: Gateway, hosts: [a.example], gateway: {parentRefs: [{name: a}]}, tls: {type: Secret, secret: {name: a}}}}`,
		[]string{"spec.exposure", "tls: is the Gateway's own business", "configure the listener"},
	},
	{"redirect without TLS", `spec: {exposure: {type: Ingress, hosts: [a.example], httpsRedirect: Enabled}}`, []string{"spec.exposure", "httpsRedirect: Enabled needs tls", "configure tls"}},
	{
		"rate limit at a Gateway", `spec: {exposure: {type: Gateway, hosts: [a.example], gateway: {parentRefs: [{name: a}]}, rateLimit: {enforcement: ApplicationAndIngress}}}`,
		[]string{"spec.exposure", "rateLimit.enforcement: ApplicationAndIngress needs an Ingress", "set it to Application"},
	},
	{
		"snippet", `spec: {exposure: {type: Ingress, hosts: [a.example], ingress: {annotations: {nginx.ingress.kubernetes.io/configuration-snippet: x}}}}`,
		[]string{"spec.exposure.ingress.annotations", "must not hold configuration snippets"},
	},
}

var badRollouts = []badSpec{
	{"retention too short", `spec: {rollout: {retentionSeconds: 10}}`, []string{"spec.rollout.retentionSeconds", "greater than or equal to 15"}},
	{
		"retention below propagation", `spec: {rollout: {retentionSeconds: 60, traffic: {propagationSeconds: 60}}}`,
		[]string{"spec.rollout", "retentionSeconds: must be at least traffic.propagationSeconds + 10", "raise it or lower"},
	},
	{
		"approval nobody waits for", `spec: {rollout: {promotion: {approvedRevision: abcdefghij}}}`,
		[]string{"spec.rollout.promotion", "approvedRevision: has no effect unless mode is Manual", "set mode to Manual"},
	},
	{
		"approval of a version", `spec: {rollout: {promotion: {mode: Manual, approvedRevision: "1.8.0"}}}`,
		[]string{"spec.rollout.promotion.approvedRevision", "must be a revision", "status.candidate.revision"},
	},
	{
		"approved migration nobody asks for", `spec: {rollout: {migration: {approvedMigration: 0007_drop}}}`,
		[]string{"spec.rollout.migration", "approvedMigration: has no effect unless destructive is WhenApproved"},
	},
	{"strategy unknown", `spec: {rollout: {onFailure: Retry}}`, []string{"spec.rollout.onFailure", `"RollBack"`}},
	{"no history", `spec: {rollout: {revisionHistoryLimit: 0}}`, []string{"spec.rollout.revisionHistoryLimit", "greater than or equal to 2"}},
	{"check without stage", `spec: {rollout: {checks: [{name: a, type: HTTP, http: {path: /}}]}}`, []string{"spec.rollout.checks[0].stage", "Required value"}},
	{"check without member", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: HTTP}]}}`, []string{"spec.rollout.checks[0]", "http: is required while type is HTTP", "give path"}},
	{
		"check with two members", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: Job, job: {args: [x]}, http: {path: /}}]}}`,
		[]string{"spec.rollout.checks[0]", "http: is required while type is HTTP and only allowed then"},
	},
	{"check twice", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: HTTP, http: {path: /}}, {name: a, stage: PostPromotion, type: HTTP, http: {path: /}}]}}`, []string{"spec.rollout.checks[1]", "Duplicate value"}},
	{"check of a foreign URL", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: HTTP, http: {path: "http://169.254.169.254/"}}]}}`, []string{"spec.rollout.checks[0].http.path", "not a URL", "only the instance itself is asked"}},
	{
		"live check before the switch", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: HTTP, http: {path: /, target: Live}}]}}`,
		[]string{"spec.rollout.checks[0]", "http.target: must be Candidate before the promotion", "PostPromotion"},
	},
	{
		"overlapping checks", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: HTTP, http: {path: /}, intervalSeconds: 1, timeoutSeconds: 2}]}}`,
		[]string{"spec.rollout.checks[0]", "timeoutSeconds: must not be more than intervalSeconds", "lower it or raise"},
	},
	{"job without arguments", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: Job, job: {args: []}}]}}`, []string{"spec.rollout.checks[0].job.args", "at least 1 items"}},
	{"job with an image", `spec: {rollout: {checks: [{name: a, stage: PrePromotion, type: Job, job: {args: [x], image: evil}}]}}`, []string{`unknown field "spec.rollout.checks[0].job.image"`}},
	{
		"threshold with unit", `spec: {rollout: {checks: [{name: a, stage: PostPromotion, type: Prometheus, prometheus: {query: up, comparison: LessThan, threshold: 5ms}}]}}`,
		[]string{"spec.rollout.checks[0].prometheus.threshold", "decimal number in quotes"},
	},
	{
		"threshold without quotes", `spec: {rollout: {checks: [{name: a, stage: PostPromotion, type: Prometheus, prometheus: {query: up, comparison: LessThan, threshold: 0.5}}]}}`,
		[]string{"spec.rollout.checks[0].prometheus.threshold", "string"},
	},
	{
		"Prometheus of one's own", `spec: {rollout: {checks: [{name: a, stage: PostPromotion, type: Prometheus, prometheus: {address: "http://x", query: up, comparison: LessThan, threshold: "1"}}]}}`,
		[]string{`unknown field "spec.rollout.checks[0].prometheus.address"`},
	},
	{"color in the spec", `spec: {rollout: {color: Green}}`, []string{`unknown field "spec.rollout.color"`}},
}

var badNetwork = []badSpec{
	{
		"strict without anybody", `spec: {networkPolicy: {mode: Strict}}`,
		[]string{"spec.networkPolicy", "peers: must name at least one Ingress peer while mode is Strict", "ingress controller's namespace"},
	},
	{
		"peers of a policy that is off", `spec: {networkPolicy: {mode: Disabled, peers: [{name: a, direction: Ingress, peer: {podSelector: {}}}]}}`,
		[]string{"spec.networkPolicy", "peers: have no effect while mode is Disabled", "set mode to Strict"},
	},
	{"empty peer", `spec: {networkPolicy: {peers: [{name: a, direction: Ingress, peer: {}}]}}`, []string{"spec.networkPolicy.peers[0].peer", "must select by ipBlock alone"}},
	{
		"peer by address and pod", `spec: {networkPolicy: {peers: [{name: a, direction: Egress, peer: {ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}}]}}`,
		[]string{"spec.networkPolicy.peers[0].peer", "must select by ipBlock alone", "remove what does not belong"},
	},
	{"port out of range", `spec: {networkPolicy: {peers: [{name: a, direction: Egress, peer: {podSelector: {}}, ports: [0]}]}}`, []string{"spec.networkPolicy.peers[0].ports[0]", "greater than or equal to 1"}},
	{"monitoring mode unknown", `spec: {monitoring: {mode: "On"}}`, []string{"spec.monitoring.mode", `"Auto"`}},
	{"scraped too often", `spec: {monitoring: {intervalSeconds: 0}}`, []string{"spec.monitoring.intervalSeconds", "greater than or equal to 1"}},
}
