package documents

import (
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"
	"syscall"

	"distributor-bridge/internal/outcome"
)

// openInline gives the content that is in the event itself.
func openInline(ref Ref) (io.ReadCloser, error) {
	return io.NopCloser(inline{base64.NewDecoder(base64.StdEncoding, strings.NewReader(ref.Content))}), nil
}

// inline gives decoded content. What is no base64 is no temporary fault.
type inline struct{ io.Reader }

func (r inline) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = outcome.Reject(outcome.DocumentMismatch)
	}
	return n, err
}

// openFile gives a file beneath the root. The root is opened anew each time, since it may be a mount that comes and goes.
func (f *Fetcher) openFile(u *url.URL, size int64) (io.ReadCloser, error) {
	path := strings.TrimPrefix(u.Path, "/")
	if f.cfg.FileRoot == "" || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || path == "" {
		return nil, outcome.Reject(outcome.DocumentRefusedLink)
	}
	root, err := os.OpenRoot(f.cfg.FileRoot)
	if err != nil {
		return nil, retry(err)
	}
	defer func() { _ = root.Close() }()

	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileVerdict(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = retry(err)
	case !info.Mode().IsRegular():
		err = outcome.Reject(outcome.DocumentRefusedLink)
	case info.Size() != size:
		err = outcome.Reject(outcome.DocumentMismatch)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// fileVerdict gives the verdict on a file that cannot be opened. An error that is not the system's is that of os.Root:
// the path leads out of it.
func fileVerdict(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return outcome.Reject(outcome.DocumentRefusedLink)
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR:
		return outcome.Reject(outcome.DocumentGone)
	case syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ENXIO:
		return outcome.Reject(outcome.DocumentRefusedLink)
	}
	return retry(err)
}
