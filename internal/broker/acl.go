package broker

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ACL is an access rule: a user may do something with a resource. Words are as kafka-acls.sh has them.
type ACL struct {
	User      string
	Operation string // Read, Write, Describe …
	Resource  string // topic, group, transactional-id or cluster
	Name      string // kafka-cluster for the cluster
	Prefixed  bool   // all resources whose name begins with Name
}

// creation is the rule in Kafka's own words.
func (a ACL) creation() (kmsg.CreateACLsRequestCreation, error) {
	c := kmsg.NewCreateACLsRequestCreation()
	operation, err := kmsg.ParseACLOperation(a.Operation)
	if err != nil {
		return c, fmt.Errorf("access rule: operation %q: %w", a.Operation, err)
	}
	resource, err := kmsg.ParseACLResourceType(a.Resource)
	if err != nil {
		return c, fmt.Errorf("access rule: resource %q: %w", a.Resource, err)
	}
	c.ResourceType, c.ResourceName, c.Operation = resource, a.Name, operation
	c.Principal, c.Host, c.PermissionType = "User:"+a.User, "*", kmsg.ACLPermissionTypeAllow
	if a.Prefixed {
		c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	return c, nil
}

// Allow adds rules. Brokers may take a moment to go by them.
func (a *Admin) Allow(ctx context.Context, rules ...ACL) error {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, rule := range rules {
		c, err := rule.creation()
		if err != nil {
			return err
		}
		req.Creations = append(req.Creations, c)
	}
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return fmt.Errorf("add access rules: %w", err)
	}
	var errs []error
	for _, r := range res.Results {
		errs = append(errs, kerr.ErrorForCode(r.ErrorCode))
	}
	return errors.Join(errs...)
}

// Forbid takes rules away again; one that is not there is an error.
func (a *Admin) Forbid(ctx context.Context, rules ...ACL) error {
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, rule := range rules {
		c, err := rule.creation()
		if err != nil {
			return err
		}
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourceName, f.ResourcePatternType = c.ResourceType, &c.ResourceName, c.ResourcePatternType
		f.Principal, f.Host, f.Operation, f.PermissionType = &c.Principal, &c.Host, c.Operation, c.PermissionType
		req.Filters = append(req.Filters, f)
	}
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return fmt.Errorf("take access rules away: %w", err)
	}
	var errs []error
	for i, r := range res.Results {
		if len(r.MatchingACLs) != 1 {
			errs = append(errs, fmt.Errorf("%+v: %d rules are like it", rules[i], len(r.MatchingACLs)))
		}
		errs = append(errs, kerr.ErrorForCode(r.ErrorCode))
	}
	return errors.Join(errs...)
}

// SetPassword gives a user another password (SCRAM-SHA-512): the old one is refused from now on.
func (a *Admin) SetPassword(ctx context.Context, user, password string) error {
	const sha512SCRAM, iterations = 2, 4096
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha512.New, password, salt, iterations, sha512.Size)
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", user, err)
	}
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = user, sha512SCRAM, iterations, salt, salted
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Upsertions = append(req.Upsertions, u)
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", user, err)
	}
	var errs []error
	for _, r := range res.Results {
		errs = append(errs, kerr.ErrorForCode(r.ErrorCode))
	}
	return errors.Join(errs...)
}
