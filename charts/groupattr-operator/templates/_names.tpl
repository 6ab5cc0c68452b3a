{{- /* Names and labels. Each define is used by several templates. */ -}}

{{- define "groupattr-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "groupattr-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "groupattr-operator.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Of objects of the cluster: two releases may have the same name in two namespaces. */ -}}
{{- define "groupattr-operator.clusterName" -}}
{{- printf "%s-%s" (include "groupattr-operator.fullname" .) (include "groupattr-operator.namespace" .) -}}
{{- end -}}

{{- define "groupattr-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "groupattr-operator.serviceAccountName" -}}
{{- default (include "groupattr-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "groupattr-operator.argocd" -}}
{{- printf "%s-argocd" (include "groupattr-operator.fullname" . | trunc 56 | trimSuffix "-") -}}
{{- end -}}

{{- /* What never changes for a release: the selector of a Deployment is immutable. */ -}}
{{- define "groupattr-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "groupattr-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "groupattr-operator.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "groupattr-operator.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "groupattr-operator" -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* Labels and annotations of pods; call with dict "root" $ "component" (a dict, for pods that are not the operator's). */ -}}
{{- define "groupattr-operator.podMetadata" -}}
{{- $v := .root.Values -}}
{{- $fixed := mergeOverwrite (include "groupattr-operator.selectorLabels" .root | fromYaml) (default dict .component) -}}
labels:
  {{- mergeOverwrite (deepCopy $v.commonLabels) $v.podLabels $fixed | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $v.commonAnnotations) $v.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The metadata below a name: namespace (empty for none), labels, annotations.
Call with dict "root" $ "namespace" … "labels" … "annotations" …; labels of the call win over the common ones. */ -}}
{{- define "groupattr-operator.metadata" -}}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- $labels := include "groupattr-operator.labels" .root | fromYaml }}
  {{- mergeOverwrite $labels (default dict .labels) | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
