package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// program is one process of the service. It is started again on the same ports after each kill.
type program struct {
	t     *testing.T
	role  string
	port  int
	env   []string
	mu    sync.Mutex
	cmd   *exec.Cmd
	log   *os.File
	count int
}

func (p *program) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.cmd = exec.Command(binary, p.role)
	p.cmd.Env = append(append([]string{}, p.env...), fmt.Sprintf("POD_NAME=%s-%d-%d", p.role, p.port, p.count))
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.t.Error(err)
	}
}

func (p *program) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

var binary string

type cluster struct {
	t        *testing.T
	postgres *testrig.Postgres
	redis    *testrig.Redis
	provider *fake.Server
	database string
	apis     []*program
	workers  []*program
	random   *rand.Rand
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "englog")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/englog").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := &cluster{t: t, postgres: testrig.NewPostgres(t, testrig.PostgresOptions{Durable: true}), redis: testrig.NewRedis(t),
		provider: &fake.Server{}, random: rand.New(rand.NewPCG(seed, 0))}
	c.provider.Delay(20 * time.Millisecond)
	model := httptest.NewServer(c.provider)
	model.Config.ErrorLog = log.New(bytes.NewBuffer(nil), "", 0)
	t.Cleanup(model.Close)
	var err error
	if c.database, err = c.postgres.Clone("migrated", testrig.Migrate); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.apis = append(c.apis, c.program("api", model.URL))
		c.workers = append(c.workers, c.program("worker", model.URL))
	}
	return c
}

func (c *cluster) program(role, model string) *program {
	c.t.Helper()
	p := &program{t: c.t, role: role, port: freePort(c.t)}
	p.env = []string{"PATH=" + os.Getenv("PATH"), "ENVIRONMENT=development", "LOG_LEVEL=warn", "PORT=" + strconv.Itoa(p.port),
		"ADMIN_PORT=" + strconv.Itoa(freePort(c.t)), "DATABASE_URL=" + c.database, "REDIS_URL=" + c.redis.URL(), "ENGLOG_INSTANCE=check.lost",
		"JWT_SECRET=0123456789012345678901234567890123456789", "RATE_LIMIT_RPS=100000", "REGISTRATION=open", "TRACING_ENABLED=false",
		"AI_PROVIDERS=openai", "OPENAI_API_KEY=none", "OPENAI_BASE_URL=" + model + "/v1", "AI_DAILY_REQUESTS=1000000",
		"TERMINATION_LOG=" + os.DevNull, "DRAIN_DELAY=0s"}
	var err error
	if p.log, err = os.Create(filepath.Join(c.t.TempDir(), role+".log")); err != nil {
		c.t.Fatal(err)
	}
	p.start()
	c.t.Cleanup(func() {
		p.kill()
		if c.t.Failed() {
			raw, _ := os.ReadFile(p.log.Name())
			c.t.Logf("%s:\n%s", p.role, raw[max(0, len(raw)-2000):])
		}
	})
	return p
}

// disturb does one thing that must not lose work.
func (c *cluster) disturb() string {
	restart := func(list []*program) string {
		p := list[c.random.IntN(len(list))]
		p.kill()
		time.Sleep(time.Duration(c.random.IntN(300)) * time.Millisecond)
		p.start()
		return "kill " + p.role
	}
	switch die := c.random.IntN(10); {
	case die < 3:
		return restart(c.workers)
	case die < 6:
		return restart(c.apis)
	case die < 8:
		if err := c.redis.FlushAll(); err != nil {
			c.t.Error(err)
		}
		return "flush redis"
	case die < 9:
		if err := c.redis.Stop(); err != nil {
			c.t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := c.redis.Start(); err != nil {
			c.t.Error(err)
		}
		return "restart redis"
	default:
		if err := c.postgres.Stop(true); err != nil {
			c.t.Error(err)
		}
		if err := c.postgres.Start(); err != nil {
			c.t.Error(err)
		}
		return "crash postgres"
	}
}

func (c *cluster) addresses() (all []string) {
	for _, p := range c.apis {
		all = append(all, fmt.Sprintf("http://127.0.0.1:%d", p.port))
	}
	return all
}

// register waits for an API and returns the token of a new user.
func (c *cluster) register(name string) string {
	c.t.Helper()
	body, _ := json.Marshal(map[string]string{"email": name + "@example.org", "name": name, "password": "correct horse battery"})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, err := http.Post(c.addresses()[0]+"/api/v1/auth/register", "application/json", bytes.NewReader(body))
		if err != nil {
			continue
		}
		var out struct {
			Token string `json:"access_token"`
		}
		err = json.NewDecoder(response.Body).Decode(&out)
		response.Body.Close()
		if err == nil && out.Token != "" {
			return out.Token
		}
	}
	c.t.Fatal("nobody could register")
	return ""
}

// TestLostWork kills, flushes and crashes while clients write. It takes a good minute; ENGLOG_CHECK_SECONDS (15) is for how long
// the world is disturbed, ENGLOG_CHECK_SEED repeats a run's faults.
func TestLostWork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	seed := uint64(number("ENGLOG_CHECK_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("seed %d", seed)
	c := newCluster(t, seed)
	clients := c.startClients(6)
	faults := map[string]int{}
	for end := time.Now().Add(time.Duration(number("ENGLOG_CHECK_SECONDS", 15)) * time.Second); time.Now().Before(end); {
		time.Sleep(time.Duration(300+c.random.IntN(700)) * time.Millisecond)
		faults[c.disturb()]++
	}
	history := clients()
	c.heal()
	w := c.world()
	outcomes := map[Outcome]int{}
	for _, h := range history {
		outcomes[h.Outcome]++
	}
	extra := 0
	for _, task := range w.Tasks {
		extra += max(0, task.Runs-1)
	}
	t.Logf("faults %v; %d writes acknowledged, %d unknown, %d refused; %d entries, %d tasks, %d extra runs", faults,
		outcomes[Acknowledged], outcomes[Unknown], outcomes[Refused], len(w.Entries), len(w.Tasks), extra)
	if outcomes[Acknowledged] < 100 {
		t.Error("too little was written to show anything")
	}
	for i, problem := range Judge(history, w, englog.EntryTaskKinds()) {
		if i == 20 {
			t.Fatal("and more")
		}
		t.Error(problem)
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// startClients lets clients write; the function that it returns stops them and returns what they did.
func (c *cluster) startClients(count int) func() []Write {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var writes atomic.Int64
	clients := make([]*client, count)
	for i := range clients {
		name := fmt.Sprintf("c%d", i)
		clients[i] = &client{name: name, token: c.register(name), apis: c.addresses(), random: rand.New(rand.NewPCG(uint64(i), 1)),
			http: &http.Client{Timeout: 3 * time.Second}, writes: &writes}
	}
	for _, cl := range clients {
		wg.Go(func() { cl.live(stop) })
	}
	return func() (all []Write) {
		close(stop)
		wg.Wait()
		for _, cl := range clients {
			all = append(all, cl.history...)
		}
		return all
	}
}

// heal waits until every task has come to an end. Lost workers are noticed when their leases end, after 30 s.
func (c *cluster) heal() {
	c.t.Helper()
	left := -1
	for deadline := time.Now().Add(150 * time.Second); time.Now().Before(deadline) && left != 0; time.Sleep(250 * time.Millisecond) {
		left = c.count(`SELECT count(id)::int FROM tasks WHERE state IN ('ready', 'queued', 'running')`)
	}
	if left != 0 {
		c.t.Errorf("%d tasks are still not at their end", left)
	}
}

func (c *cluster) count(sql string) (n int) {
	conn, err := pgx.Connect(context.Background(), c.database)
	if err != nil {
		return -1
	}
	defer conn.Close(context.Background())
	if conn.QueryRow(context.Background(), sql).Scan(&n) != nil {
		return -1
	}
	return n
}

func (c *cluster) world() (w World) {
	c.t.Helper()
	conn, err := pgx.Connect(context.Background(), c.database)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	w.Entries = query[Entry](c.t, conn, `SELECT id, title AS marker, version, body FROM entries`)
	w.Tasks = query[Task](c.t, conn, `SELECT id, entry_id, entry_version AS version, kind, state, attempt, crashes, runs, 0 AS asked FROM tasks`)
	w.Insights = query[Insight](c.t, conn, `SELECT entry_id, entry_version AS version, kind FROM insights`)
	asked := c.provider.Counts().ByTask
	for i := range w.Tasks {
		w.Tasks[i].Asked = asked[w.Tasks[i].ID.String()]
	}
	return w
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	if err != nil {
		t.Fatal(err)
	}
	return list
}
