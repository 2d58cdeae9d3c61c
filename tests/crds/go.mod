// The custom resources that the chart can render, for the API server of the
// tests to know: no code, only the files in these modules. See README.md.
module podseal.io/tests/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
