{{- /* A null in a values file means the default. Helm takes the key away instead, or keeps the null, depending on its version
and on whether this chart is a dependency of another. So every template begins with this; doing it twice changes nothing. */ -}}
{{- define "groupattr-operator.values" -}}
{{- $values := deepCopy .Values -}}
{{- include "groupattr-operator.fill" (dict "values" $values "defaults" (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- $_ := set . "Values" $values -}}
{{- end -}}

{{- /* Takes nulls out of "values" and puts in what is missing of "defaults". */ -}}
{{- define "groupattr-operator.fill" -}}
{{- range $key, $value := .values -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $.values $key -}}
{{- end -}}
{{- end -}}
{{- range $key, $default := .defaults -}}
{{- if not (hasKey $.values $key) -}}
{{- $_ := set $.values $key $default -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := .values -}}
{{- if kindIs "map" $value -}}
{{- include "groupattr-operator.fill" (dict "values" $value "defaults" (default dict (get $.defaults $key))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
