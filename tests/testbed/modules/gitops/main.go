// Says what GitOps tools make of Kubernetes objects, by the libraries that those tools use themselves.
//
// Each line of standard input asks one question about one object, each line of standard output answers it:
//
//	{"object": {…}}                    → {"cliUtils": "Current", "flux": "Current"}   two copies of kstatus
//	{"object": {…}, "script": "…"}     → {"returned": {…}}                            Lua, as Argo CD runs it
//
// or {"error": "…"}.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
	cliutils "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	Object json.RawMessage `json:"object"`
	Script string          `json:"script"`
}

type answer struct {
	CliUtils string `json:"cliUtils,omitempty"`
	Flux     string `json:"flux,omitempty"`
	Returned any    `json:"returned,omitempty"`
	Error    string `json:"error,omitempty"`
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked question
		err := in.Decode(&asked)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = out.Encode(reply(asked))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func reply(asked question) answer {
	given, err := respond(asked)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return given
}

func respond(asked question) (answer, error) {
	// Whole numbers must be int64, as kstatus and Argo CD get them from the API server.
	var object map[string]any
	if err := kjson.Unmarshal(asked.Object, &object); err != nil {
		return answer{}, err
	}
	if asked.Script != "" {
		returned, err := runLua(object, asked.Script)
		return answer{Returned: returned}, err
	}
	original, err := cliutils.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return answer{}, err
	}
	fork, err := flux.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return answer{}, err
	}
	return answer{CliUtils: original.Status.String(), Flux: fork.Status.String()}, nil
}
