package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Where the API lives [G1][G2].
const (
	Base      = "/api/external"           // what a client calls its base URL ends in this
	tokenPath = Base + "/oauth/token"     // no slash at its end
	current   = Base + "/distributor/v2/" // [G1]
	older     = Base + "/v2/"             // [G2]
	control   = "/sandbox/"               // ours
	shutdown  = 5 * time.Second           // for calls in flight when Serve ends
)

// Server is the sandbox. Its methods may be called at any time, from any goroutine.
type Server struct {
	config   Config
	contract *contract
	handlers map[string]func(*call) reply // by operation; called with mu held
	limiter  *rate.Limiter                // nil: no limit

	mu     sync.Mutex // guards everything below, and everything that hangs from it
	tokens map[string]token
	world  *world
	keys   *keyCache
	faults faults
	rules  rules
	ledger ledger
	outbox outbox
}

// New makes a sandbox. The error names everything that is wrong with the configuration.
func New(c Config) (*Server, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("sandbox configuration: %w", err)
	}
	description, err := loadContract()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:   c,
		contract: description,
		tokens:   map[string]token{},
		keys:     newKeyCache(c.Idempotency),
		world:    newWorld(c.Campaigns),
		faults:   faults{random: newRandom(c.Seed)},
		ledger:   newLedger(c.CallLog),
	}
	if c.Rate > 0 {
		s.limiter = rate.NewLimiter(rate.Limit(c.Rate), c.Burst)
	}
	s.handlers = s.operations()
	for _, op := range description.operations {
		if s.handlers[op.name] == nil {
			return nil, fmt.Errorf("the API's description has %q, the sandbox does not", op.name)
		}
	}
	return s, nil
}

func newRandom(seed uint64) *rand.Rand {
	if seed == 0 {
		seed = rand.Uint64()
	}
	return rand.New(rand.NewPCG(seed, seed))
}

func (s *Server) operations() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		opCreateDocument:       s.createDocument,
		opCreateInvestor:       s.createInvestor,
		opGetInvestor:          s.getInvestor,
		opUpdateInvestor:       s.updateInvestor,
		opCreateIdentification: s.createIdentification,
		opCreatePersons:        s.createPersons,
		opCreateManagedWallet:  s.createManagedWallet,
		opCreateGenericWallet:  s.createGenericWallet,
		opCreateInvestment:     s.createInvestment,
		opGetInvestment:        s.getInvestment,
		opCreateCredit:         s.createCredit,
		opGetCredit:            s.getTask,
		opCreateRedemption:     s.createRedemption,
		opGetRedemption:        s.getTask,
		opCreateTransfer:       s.createTransfer,
		opGetTransfer:          s.getTask,
	}
}

// Operations, as the description names them. Faults, rules, calls and effects speak of them.
const (
	opToken                = "token"
	opCreateDocument       = "create_document"
	opCreateInvestor       = "create_investor"
	opGetInvestor          = "get_investor"
	opUpdateInvestor       = "update_investor"
	opCreateIdentification = "create_identification"
	opCreatePersons        = "create_benefiting_persons"
	opCreateManagedWallet  = "create_managed_wallet"
	opCreateGenericWallet  = "create_generic_wallet"
	opCreateInvestment     = "create_investment"
	opGetInvestment        = "get_investment"
	opCreateCredit         = "create_credit"
	opGetCredit            = "get_credit"
	opCreateRedemption     = "create_redemption"
	opGetRedemption        = "get_redemption"
	opCreateTransfer       = "create_transfer"
	opGetTransfer          = "get_transfer"
	opNone                 = "none" // a path that there is not, or a method that it does not have
)

var operationNames = []string{
	opToken, opCreateDocument, opCreateInvestor, opGetInvestor, opUpdateInvestor, opCreateIdentification,
	opCreatePersons, opCreateManagedWallet, opCreateGenericWallet, opCreateInvestment, opGetInvestment, opCreateCredit,
	opGetCredit, opCreateRedemption, opGetRedemption, opCreateTransfer, opGetTransfer, opNone,
}

// Credentials are what a client needs, and what is for sale.
func (s *Server) Credentials() (clientID, clientSecret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.ClientID, s.config.ClientSecret
}

// Campaigns are what is for sale, at least one.
func (s *Server) Campaigns() []Campaign { return append([]Campaign(nil), s.config.Campaigns...) }

// Handler serves the API under both prefixes and the control endpoints under /sandbox/.
func (s *Server) Handler() http.Handler {
	controls := s.controls()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == tokenPath:
			s.serveToken(w, r)
		case strings.HasPrefix(path, current):
			s.serveResource(w, r, strings.TrimPrefix(path, current))
		case strings.HasPrefix(path, older):
			s.serveResource(w, r, strings.TrimPrefix(path, older))
		case strings.HasPrefix(path, control):
			controls.ServeHTTP(w, r)
		default:
			s.serveNothing(w, r)
		}
	})
}

// Serve serves on ln until ctx ends, lets calls in flight end for 5 s, and closes ln. Calls that a fault keeps waiting
// end with ctx. The error is nil when ctx ended it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var sender sync.WaitGroup
	defer sender.Wait()
	defer end()
	sender.Go(func() { s.SendWebhooks(ctx) })
	return serve(ctx, ln, s.Handler())
}

func serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(ctx, lifeKey{}, ctx.Done())
		},
	}
	served, stopped := make(chan struct{}), make(chan struct{})
	go func() { // ends with ctx, or with Serve
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-served:
		}
		limit, cancel := context.WithTimeout(context.Background(), shutdown)
		defer cancel()
		if server.Shutdown(limit) != nil {
			_ = server.Close() // what is still open is cut; there is nobody to tell
		}
	}()
	err := server.Serve(ln)
	close(served)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the sandbox: %w", err)
}

// lifeKey finds, in a request's context, what is closed when the server ends. A request's own context ends with its
// client too, which is not the end of what the server does for it.
type lifeKey struct{}

func life(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(lifeKey{}).(<-chan struct{})
	return done
}
