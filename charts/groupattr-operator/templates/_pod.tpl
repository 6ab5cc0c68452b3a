{{- /* What the operator's pod and those of `helm test` and of the drain have in common. */ -}}

{{- define "groupattr-operator.image" -}}
{{- $image := .Values.image -}}
{{- $registry := default .Values.global.imageRegistry $image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (not (empty $registry)) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The flags that `run`, `check` and `drain` share. */ -}}
{{- define "groupattr-operator.flags" -}}
{{- range .Values.watchNamespaces }}
- {{ printf "--watch-namespace=%s" . | quote }}
{{- end }}
- --namespace={{ include "groupattr-operator.namespace" . }}
{{- range .Values.allowEndpoints }}
- {{ printf "--allow-endpoint=%s" . | quote }}
{{- end }}
{{- if and .Values.proxy.url (not .Values.proxy.existingSecret) }}
- {{ printf "--https-proxy=%s" .Values.proxy.url | quote }}
{{- end }}
{{- if eq "any" .Values.keyFormat }}
- --key-format=any
{{- end }}
{{- with .Values.leaderElection }}
- --leader-elect={{ .enabled }}
{{- if .enabled }}
- --lease-duration-seconds={{ int .leaseDurationSeconds }}
- --lease-renew-deadline-seconds={{ int .renewDeadlineSeconds }}
- --lease-retry-seconds={{ int .retrySeconds }}
{{- end }}
{{- end }}
{{- with .Values.listen }}
{{- $bare := and (contains ":" .address) (not (hasPrefix "[" .address)) }}
- {{ printf "--listen=%s:%d" (ternary (printf "[%s]" .address) .address $bare) (int .port) | quote }}
{{- end }}
- --log-format={{ .Values.log.format }}
- {{ printf "--log-filter=%s" .Values.log.filter | quote }}
- --shutdown-grace-seconds={{ int .Values.shutdownGraceSeconds }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The value that sets each flag. Nothing else may set it: extraArgs would win over the flag, extraEnv where it is left out. */ -}}
{{- define "groupattr-operator.valueOfFlag" -}}
watch-namespace: watchNamespaces
namespace: namespaceOverride
allow-endpoint: allowEndpoints
https-proxy: proxy.url or proxy.existingSecret
leader-elect: leaderElection.enabled
lease-duration-seconds: leaderElection.leaseDurationSeconds
lease-renew-deadline-seconds: leaderElection.renewDeadlineSeconds
lease-retry-seconds: leaderElection.retrySeconds
listen: listen.address and listen.port
key-format: keyFormat
log-format: log.format
log-filter: log.filter
shutdown-grace-seconds: shutdownGraceSeconds
secret-name: rbac.secretNames
no-secrets: rbac.secrets
timeout-seconds: drain.timeoutSeconds
deployment: fullnameOverride
{{- end -}}

{{- /* The container; call with dict "root" $ "verb" "run", "check" or "drain" "more" (further arguments) "probed" true. */ -}}
{{- define "groupattr-operator.container" -}}
{{- $v := .root.Values -}}
name: {{ .root.Chart.Name | quote }}
image: {{ include "groupattr-operator.image" .root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy | quote }}
args:
  - {{ .verb }}
  {{- include "groupattr-operator.flags" .root | trim | nindent 2 }}
  {{- range .more }}
  - {{ . | quote }}
  {{- end }}
{{- if or $v.proxy.existingSecret $v.extraEnv }}
env:
  {{- with $v.proxy.existingSecret }}
  - name: GROUPATTR_HTTPS_PROXY
    valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: url } }
  {{- end }}
  {{- with $v.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $v.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .probed }}
ports:
  - name: http
    containerPort: {{ int $v.listen.port }}
    protocol: TCP
livenessProbe:
  httpGet: { path: /livez, port: http }
  {{- with $v.livenessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
readinessProbe:
  httpGet: { path: /readyz, port: http }
  {{- with $v.readinessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $v.containerSecurityContext | nindent 2 }}
# A refusal to start is one line on standard error; so it shows in `kubectl describe pod`.
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - name: api-access
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- with $v.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* Everything of a pod's spec but the containers that run in it together, and its life. A call with another service account adds it
as `account`. */ -}}
{{- define "groupattr-operator.surroundings" -}}
{{- $v := .Values -}}
serviceAccountName: {{ default (include "groupattr-operator.serviceAccountName" .) .account | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- $pullSecrets := list }}
{{- range concat (default list $v.global.imagePullSecrets) $v.imagePullSecrets }}
{{- $pullSecrets = append $pullSecrets (ternary . (get (ternary dict . (kindIs "string" .)) "name") (kindIs "string" .)) }}
{{- end }}
{{- with uniq $pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- if not (kindIs "invalid" $v.hostUsers) }}
hostUsers: {{ $v.hostUsers }}
{{- end }}
securityContext:
  {{- toYaml $v.podSecurityContext | nindent 2 }}
{{- $shared := dict
  "nodeSelector" (merge dict $v.nodeSelector (default dict $v.global.nodeSelector))
  "tolerations" (concat $v.tolerations (default list $v.global.tolerations) | uniq)
  "priorityClassName" (default $v.global.priorityClassName $v.priorityClassName) }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "dnsConfig" "hostAliases" "initContainers" }}
{{- with default (get $v $field) (get $shared $field) }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $field := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with default (get $v $field) (get $shared $field) }}
{{ $field }}: {{ . | quote }}
{{- end }}
{{- end }}
volumes:
  # What Kubernetes would mount by itself, with a token whose life can be chosen.
  - name: api-access
    projected:
      defaultMode: 0444
      sources:
        - serviceAccountToken:
            path: token
            expirationSeconds: {{ int $v.serviceAccount.tokenExpirationSeconds }}
        - configMap:
            name: kube-root-ca.crt
            items: [{ key: ca.crt, path: ca.crt }]
        - downwardAPI:
            items: [{ path: namespace, fieldRef: { apiVersion: v1, fieldPath: metadata.namespace } }]
  {{- with $v.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* How long the drain waits: for a lease that nobody renews any more, and for pods that are told to end. */ -}}
{{- define "groupattr-operator.drainTimeout" -}}
{{- if kindIs "invalid" .Values.drain.timeoutSeconds -}}
{{- min 3600 (add (int .Values.leaderElection.leaseDurationSeconds) (int (include "groupattr-operator.terminationGrace" .)) 10) -}}
{{- else -}}
{{- int .Values.drain.timeoutSeconds -}}
{{- end -}}
{{- end -}}
