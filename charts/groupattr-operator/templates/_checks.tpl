{{- /* What the schema of the values cannot say: combinations that cannot work. */ -}}
{{- define "groupattr-operator.checks" -}}
{{- $v := .Values -}}
{{- $election := $v.leaderElection -}}
{{- if and (gt (int $v.replicas) 1) (not $election.enabled) -}}
{{- fail (printf "replicas is %d and leaderElection.enabled is false: every pod would send each reset; set leaderElection.enabled=true or replicas=1" (int $v.replicas)) -}}
{{- end -}}
{{- if $election.enabled -}}
{{- if not (and (lt (int $election.retrySeconds) (int $election.renewDeadlineSeconds)) (lt (int $election.renewDeadlineSeconds) (int $election.leaseDurationSeconds))) -}}
{{- fail (printf "leaderElection: retrySeconds (%d) must be less than renewDeadlineSeconds (%d), and that less than leaseDurationSeconds (%d); for example 2, 10 and 15" (int $election.retrySeconds) (int $election.renewDeadlineSeconds) (int $election.leaseDurationSeconds)) -}}
{{- end -}}
{{- end -}}
{{- if and (not $election.enabled) $v.strategy (ne (toString (get $v.strategy "type")) "Recreate") -}}
{{- fail "strategy.type must be Recreate if leaderElection.enabled is false: the old pod and the new one would both send each reset; leave strategy empty or set leaderElection.enabled=true" -}}
{{- end -}}
{{- range $flag, $value := include "groupattr-operator.valueOfFlag" . | fromYaml -}}
{{- range $v.extraArgs -}}
{{- if or (eq . (printf "--%s" $flag)) (hasPrefix (printf "--%s=" $flag) .) -}}
{{- fail (printf "extraArgs has --%s, which a value sets: set %s instead" $flag $value) -}}
{{- end -}}
{{- end -}}
{{- $variable := printf "GROUPATTR_%s" ($flag | upper | replace "-" "_") -}}
{{- range $v.extraEnv -}}
{{- if eq .name $variable -}}
{{- fail (printf "extraEnv has %s, which a value sets: set %s instead" $variable $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.proxy.existingSecret (not $v.proxy.url) -}}
{{- fail "proxy.existingSecret is set and proxy.url is not: set proxy.url to the same URL without user and password; the network policy opens its port" -}}
{{- end -}}
{{- $secrets := include "groupattr-operator.secrets" . -}}
{{- if and (eq $secrets "Named") (empty $v.rbac.secretNames) -}}
{{- fail "rbac.secrets is Named and rbac.secretNames is empty: list the Secrets that apps name, or set rbac.secrets to All or None" -}}
{{- end -}}
{{- if and (ne $secrets "Named") $v.rbac.secretNames -}}
{{- fail (printf "rbac.secretNames is set, but rbac.secrets is %s: set rbac.secrets=Named to have the names count, or leave them out" $secrets) -}}
{{- end -}}
{{- if le (int (include "groupattr-operator.terminationGrace" .)) (int $v.shutdownGraceSeconds) -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be more than shutdownGraceSeconds (%d): the pod would be killed while it records the outcome of its calls" (int $v.terminationGracePeriodSeconds) (int $v.shutdownGraceSeconds)) -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the account that the operator should have" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled (not $v.service.enabled) -}}
{{- fail "serviceMonitor.enabled needs service.enabled=true; without a Service use podMonitor.enabled" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: every metric would be read twice; leave one of them out" -}}
{{- end -}}
{{- range $monitor := list "serviceMonitor" "podMonitor" -}}
{{- with get $v $monitor -}}
{{- if and .interval .scrapeTimeout (gt (int64 (include "groupattr-operator.milliseconds" .scrapeTimeout)) (int64 (include "groupattr-operator.milliseconds" .interval))) -}}
{{- fail (printf "%s.scrapeTimeout (%s) must be at most %s.interval (%s): the Prometheus operator refuses it" $monitor .scrapeTimeout $monitor .interval) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $monitor, $ends := dict "serviceMonitor" "endpoints" "podMonitor" "podMetricsEndpoints" -}}
{{- $fixed := dict "extraSpec" (list "namespaceSelector" "selector" $ends)
  "extraEndpoint" (list "port" "path" "interval" "scrapeTimeout" "honorLabels" "relabelings" "metricRelabelings") -}}
{{- range $value, $fields := $fixed -}}
{{- range $field := $fields -}}
{{- if hasKey (get (get $v $monitor) $value) $field -}}
{{- fail (printf "%s.%s has %s, which the chart sets: leave it out, or set %s.%s if there is such a value" $monitor $value $field $monitor $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $value, $taken := dict "extraVolumes" "api-access" "extraContainers" .Chart.Name "initContainers" .Chart.Name -}}
{{- range get $v $value -}}
{{- if eq .name $taken -}}
{{- fail (printf "%s has %s, which the chart makes itself: choose another name" $value $taken) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.service.clusterIP "None") (ne $v.service.type "ClusterIP") -}}
{{- fail (printf "service.clusterIP is None and service.type is %s: only a Service of type ClusterIP can do without an address" $v.service.type) -}}
{{- end -}}
{{- if and (eq $v.dnsPolicy "None") (empty (get $v.dnsConfig "nameservers")) -}}
{{- fail "dnsPolicy is None and dnsConfig.nameservers is empty: the pods could resolve nothing; name a server or leave dnsPolicy out" -}}
{{- end -}}
{{- /* Last, so that who tries other values out hears of those first. */ -}}
{{- if not (or $v.image.registry $v.global.imageRegistry (regexMatch "^(localhost|[^/]*[.:][^/]*)/" $v.image.repository)) -}}
{{- fail "no registry is named, and there is no public image of the operator: push it to a registry of yours and name that, for example --set image.registry=registry.example.com" -}}
{{- end -}}
{{- end -}}

{{- /* A duration of Prometheus, such as 1m30s. */ -}}
{{- define "groupattr-operator.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* The port of the proxy; nothing without one. */ -}}
{{- define "groupattr-operator.proxyPort" -}}
{{- with .Values.proxy.url -}}
{{- regexFind ":[0-9]+/?$" . | trimPrefix ":" | trimSuffix "/" | default (ternary 443 80 (hasPrefix "https://" .)) -}}
{{- end -}}
{{- end -}}

{{- define "groupattr-operator.terminationGrace" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (int .Values.shutdownGraceSeconds) 10 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
