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
{{- end -}}

{{- define "groupattr-operator.terminationGrace" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (int .Values.shutdownGraceSeconds) 10 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
