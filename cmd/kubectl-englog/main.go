// Command kubectl-englog is a plugin of kubectl that shows and steers EngLogInstances: kubectl englog status NAME.
//
// Everything it does can be done with kubectl alone: it reads the instance and its pods, and changes fields of the spec. It must never
// import controllers, for it has to work with operators of other versions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, connect)
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// settings are the flags, named as kubectl names its own.
type settings struct {
	kubeconfig, context, namespace string
}

// session is one command on one instance.
type session struct {
	client client.WithWatch
	key    client.ObjectKey
	out    io.Writer
	now    func() time.Time
}

// connector opens a client and returns the namespace to work in.
type connector func(settings) (client.WithWatch, string, error)

// command is one sub-command.
type command struct {
	name, help string
	run        func(*session, context.Context) error
}

func commands() []command {
	return []command{
		{"status", "show colors, pods, step, checks and history", (*session).status},
		{"watch", "follow the rollout until interrupted", (*session).watch},
		{"history", "list finished rollouts", (*session).history},
		{"promote", "let the verified candidate take traffic (promotion mode Manual)", (*session).promote},
		{"retry", "try a failed revision once more", (*session).retry},
		{"pause", "stop the operator from changing anything", (*session).pause},
		{"resume", "let the operator go on", (*session).resume},
		{"hibernate", "stop all pods and keep all data", (*session).hibernate},
		{"wake", "start the pods of a hibernated instance", (*session).wake},
	}
}

func run(ctx context.Context, args []string, out io.Writer, connect connector) error {
	s, flags := settings{}, pflag.NewFlagSet("kubectl englog", pflag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { usage(out, flags) }
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "the kubeconfig file")
	flags.StringVar(&s.context, "context", "", "the kubeconfig context")
	flags.StringVarP(&s.namespace, "namespace", "n", "", "the namespace of the instance")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("reading the flags: %w", err)
	}
	c, name, err := choose(flags.Args())
	if err != nil {
		usage(out, flags)
		return err
	}
	cluster, namespace, err := connect(s)
	if err != nil {
		return err
	}
	return c.run(&session{client: cluster, key: client.ObjectKey{Namespace: namespace, Name: name}, out: out, now: time.Now}, ctx)
}

func choose(args []string) (command, string, error) {
	if len(args) == 0 {
		return command{}, "", errors.New("no command given")
	}
	list := commands()
	i := slices.IndexFunc(list, func(c command) bool { return c.name == args[0] })
	switch {
	case i < 0:
		return command{}, "", fmt.Errorf("unknown command %q", args[0])
	case len(args) != 2:
		return command{}, "", fmt.Errorf("%s takes the name of one instance", args[0])
	}
	return list[i], strings.TrimPrefix(args[1], "englog/"), nil
}

func usage(out io.Writer, flags *pflag.FlagSet) {
	fmt.Fprintln(out, "Usage: kubectl englog COMMAND NAME [-n NAMESPACE]")
	for _, c := range commands() {
		fmt.Fprintf(out, "  %-10s %s\n", c.name, c.help)
	}
	fmt.Fprintln(out, "Flags:")
	fmt.Fprint(out, flags.FlagUsages())
}

// connect uses the configuration that kubectl would use.
func connect(s settings) (client.WithWatch, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: s.context}
	overrides.Context.Namespace = s.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("reading the namespace from the kubeconfig: %w", err)
	}
	cluster, err := client.NewWithWatch(config, client.Options{Scheme: scheme()})
	if err != nil {
		return nil, "", fmt.Errorf("connecting to the cluster: %w", err)
	}
	return cluster, namespace, nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// get reads the instance.
func (s *session) get(ctx context.Context) (*v1alpha1.EngLogInstance, error) {
	instance := &v1alpha1.EngLogInstance{}
	if err := s.client.Get(ctx, s.key, instance); err != nil {
		return nil, fmt.Errorf("reading EngLogInstance %s in namespace %s: %w", s.key.Name, s.key.Namespace, err)
	}
	return instance, nil
}

func (s *session) say(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format+"\n", args...)
	return err //nolint:wrapcheck // the terminal is gone; there is nothing to add
}
