{{- /* What the admission policies have in common. */ -}}

{{- /* "true" if a policy is installed. Unless its values say so, it comes with the other objects of the cluster.
Call with dict "root" $ "policy" (its values). */ -}}
{{- define "groupattr-operator.policyEnabled" -}}
{{- $enabled := .policy.enabled -}}
{{- if kindIs "invalid" $enabled -}}
{{- $enabled = empty .root.Values.watchNamespaces -}}
{{- end -}}
{{- ternary "true" "" $enabled -}}
{{- end -}}

{{- /* The binding of a policy, for the watched namespaces or for all; call with dict "root" $ "name" … "policy" …. */ -}}
{{- define "groupattr-operator.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name | quote }}
  {{- include "groupattr-operator.metadata" (dict "root" .root) | trim | nindent 2 }}
spec:
  policyName: {{ .name | quote }}
  validationActions:
    {{- toYaml .policy.validationActions | nindent 4 }}
  {{- with .root.Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- uniq . | toYaml | nindent 12 }}
  {{- end }}
{{- end -}}
