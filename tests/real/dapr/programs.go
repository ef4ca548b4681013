//go:build programs

// Package programs names what build.sh builds, so that go.mod and go.sum pin all of it.
package programs

import (
	_ "github.com/dapr/dapr/cmd/daprd"
	_ "github.com/dapr/dapr/cmd/injector"
	_ "github.com/dapr/dapr/cmd/operator"
	_ "github.com/dapr/dapr/cmd/sentry"
)
