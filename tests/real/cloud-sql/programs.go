//go:build programs

// Package programs names what build.sh builds, so that go.mod and go.sum pin all of it.
package programs

import _ "github.com/GoogleCloudPlatform/cloud-sql-proxy/v2"
