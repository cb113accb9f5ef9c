package ai

import "strings"

func set(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(text) {
		out[w] = true
	}
	return out
}

// lexicon weighs words from -1 to 1. The choice is our own, made for engineers' logs: "bug" says what the work was, not how
// it felt, so it weighs little.
var lexicon = func() map[string]float64 {
	out := map[string]float64{}
	for weight, text := range map[float64]string{
		1.0: `love loved amazing awesome fantastic wonderful excellent brilliant thrilled delighted overjoyed perfect superb
			outstanding proud ecstatic`,
		0.7: `happy glad great enjoyed enjoy joy success successful successfully win won excited exciting grateful thankful
			pleased satisfied satisfying rewarding celebrate celebrated praise praised impressive impressed breakthrough fun
			productive confident`,
		0.4: `good nice better improved improvement improve solved fixed helpful smooth smoothly easy clean progress calm
			relieved relief finally achieved accomplished completed shipped works learned interesting faster stable hopeful
			comfortable positive promising thanks useful solid`,
		-0.3: `issue problem problems bug bugs slow delay delayed late unclear confusing confused hard difficult tired
			blocked blocker stuck missed missing concern concerned messy annoying boring worse behind flaky doubt`,
		-0.6: `bad fail failed failure failing broken error frustrating frustrated annoyed sad unhappy worried worry anxious
			stress stressed stressful exhausted exhausting disappointed disappointing painful outage crash crashed lost
			overwhelmed struggling struggled struggle upset regret lonely wasted ugly tense nervous afraid scared`,
		-1.0: `terrible horrible awful hate hated disaster disastrous miserable furious angry devastated hopeless depressed
			burnout worst nightmare catastrophic unbearable`,
	} {
		for w := range set(text) {
			out[w] = weight
		}
	}
	return out
}()

var emotionOf = func() map[string]string {
	out := map[string]string{}
	for name, text := range map[string]string{
		"joy":      `happy glad love loved enjoyed enjoy joy delighted thrilled excited proud grateful fun celebrate celebrated overjoyed pleased`,
		"sadness":  `sad unhappy lonely disappointed disappointing depressed miserable regret devastated hopeless lost upset`,
		"anger":    `angry furious annoyed annoying frustrated frustrating hate hated unacceptable`,
		"fear":     `afraid scared worried worry anxious nervous fear stress stressed stressful overwhelmed tense panic`,
		"surprise": `surprised surprising surprise unexpected unexpectedly suddenly sudden wow astonished`,
	} {
		for w := range set(text) {
			out[w] = name
		}
	}
	return out
}()

var (
	negations    = set(`not no never without hardly barely isn't wasn't aren't weren't don't doesn't didn't can't couldn't won't wouldn't nothing neither nor cannot`)
	intensifiers = set(`very really so extremely incredibly absolutely totally super deeply highly quite`)
	weekdays     = set(`monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december today tomorrow yesterday`)
	technologies = set(`go golang python java javascript typescript rust ruby kotlin swift scala php c++ c# react angular vue
		svelte node django rails spring kubernetes docker helm terraform ansible aws gcp azure postgres postgresql mysql sqlite
		redis kafka rabbitmq mongodb elasticsearch grafana prometheus opentelemetry nginx envoy istio linux git github gitlab
		jenkins graphql grpc openai ollama jwt oauth tls dns http wasm webassembly pgbouncer clickhouse`)
	stopWords = set(`a todo fixme about above after again all also always am an and any are around as at back be because been before being
		below between both but by came can come could day days did do does doing done down during each even every few first for
		from further get gets getting go goes going got had has have having he her here hers him his how i if in into is it its
		it's i'm i've just know last later let like little long look made make makes making many maybe me might more most much
		must my need needed needs never new next no nor not nothing now of off often old on once one only onto or other our out
		over own part people quite rather really right said same see seems she should since so some something still such take
		than that that's the their them then there these they thing things think this those though three through time times to
		today together tomorrow too took two under until up upon us use used uses using very via want wanted was way we week
		weeks well went were what when where which while who why will with within without work worked working would year
		yesterday yet you your`)
)

// themeOf maps the stems of a theme's vocabulary to the theme.
var themeOf = func() map[string]string {
	out := map[string]string{}
	for theme, text := range map[string]string{
		"delivery":      `ship shipped release released launch launched deliver delivered deploy deployed deployment rollout feature milestone`,
		"reliability":   `incident outage latency alert alerts pager oncall rollback downtime slo monitoring postmortem timeout reliability crash`,
		"debugging":     `bug bugs debug debugging fix fixed error errors trace stacktrace reproduce regression flaky`,
		"testing":       `test tests testing coverage fuzz mock fixture assertion`,
		"performance":   `performance benchmark profile profiling optimize optimization throughput memory cache caching faster slow`,
		"design":        `design architecture proposal diagram tradeoff refactor refactoring refactored abstraction interface schema`,
		"review":        `review reviewed reviewing reviewer feedback comments approve approved`,
		"collaboration": `team meeting meetings pair pairing mentor mentoring mentored discussed discussion sync workshop onboarding colleague`,
		"learning":      `learn learned learning read reading course study studied tutorial book talk conference explored experiment`,
		"planning":      `plan planning planned roadmap estimate priority priorities backlog sprint goal goals deadline scope`,
		"security":      `security vulnerability cve auth authentication authorization encryption secret secrets token tokens audit`,
		"data":          `database query queries migration migrations index sql table pipeline analytics dataset`,
		"wellbeing":     `tired stress stressed burnout sleep rest exercise walk family health vacation overwhelmed balance`,
	} {
		for w := range set(text) {
			out[stem(w)] = theme
		}
	}
	return out
}()
