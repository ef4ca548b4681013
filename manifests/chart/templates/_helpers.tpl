{{/* Every object's name: there is one Curfew a cluster, so a release has no say in it. */}}
{{- define "curfew.name" -}}curfew{{- end }}

{{/* The webhook configuration's: those are called in the order of their names. */}}
{{- define "curfew.configuration" -}}00-curfew{{- end }}

{{/* The PriorityClass of the replicas; nothing where there is none. */}}
{{- define "curfew.priorityClass" -}}
{{- .Values.priorityClass.name | default (.Values.priorityClass.create | ternary "curfew" "") -}}
{{- end }}

{{- define "curfew.labels" -}}
app.kubernetes.io/name: curfew
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Replicas find each other by it, too. */}}
{{- define "curfew.selector" -}}
app.kubernetes.io/name: curfew
{{- end }}

{{/* An image's reference: image (dict "image" IMAGE "root" $) */}}
{{- define "curfew.image" -}}
{{- $image := .image -}}
{{ .root.Values.registry }}/{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The rest is about values that fit each by itself, and not together. */}}
{{- define "curfew.selfManaged" -}}
{{- if and .Values.webhook.enabled (eq .Values.certificates.mode "self-managed") }}true{{ end }}
{{- end }}

{{- define "curfew.secret" -}}
{{- if .Values.certificates.secretName }}{{ .Values.certificates.secretName }}
{{- else if eq .Values.certificates.mode "self-managed" }}curfew-ca
{{- else }}curfew-tls
{{- end }}
{{- end }}

{{/* Pods of one namespace cannot be told from those of another, so the watch needs rights on all of them. */}}
{{- define "curfew.watch" -}}
{{- if and .Values.watch (eq .Values.rights.scope "cluster") }}true{{ end }}
{{- end }}

{{- define "curfew.admissionPolicies" -}}
{{- $wanted := .Values.admissionPolicy.enabled | toString -}}
{{- if eq $wanted "auto" }}{{ $wanted = semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version | toString }}{{ end }}
{{- if eq $wanted "true" }}true{{ end }}
{{- end }}

{{/* The behaviour, docs/configuration.md. */}}
{{- define "curfew.config" -}}
{{- $reaper := dict
  "image" (include "curfew.image" (dict "image" .Values.reaper.image "root" .))
  "imagePullPolicy" .Values.reaper.image.pullPolicy
  "delivery" .Values.reaper.delivery -}}
{{- with .Values.reaper.resources }}{{ $_ := set $reaper "resources" . }}{{ end }}
{{- with .Values.injectedImagePullSecrets }}{{ $_ := set $reaper "imagePullSecrets" . }}{{ end }}
{{- $config := dict "defaults" .Values.defaults "reaper" $reaper -}}
{{- if not (include "curfew.watch" .) }}{{ $_ := set $config "watch" false }}{{ end }}
{{- $nodes := dict }}
{{- range $key, $value := .Values.nodes }}{{ if $value }}{{ $_ := set $nodes $key $value }}{{ end }}{{ end }}
{{- with $nodes }}{{ $_ := set $config "nodes" . }}{{ end }}
{{- with .Values.meshPorts }}{{ $_ := set $config "meshPorts" . }}{{ end }}
{{- $catalogue := dict }}
{{- range $key, $rows := .Values.catalogue }}{{ if $rows }}{{ $_ := set $catalogue $key $rows }}{{ end }}{{ end }}
{{- with $catalogue }}{{ $_ := set $config "catalogue" . }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{/* Seconds of a duration, as in 1m30s. */}}
{{- define "curfew.seconds" -}}
{{- $seconds := 0.0 }}
{{- range regexFindAll "[0-9.]+(ms|s|m|h)" . -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $seconds = addf $seconds (mulf (trimSuffix $unit . | float64) (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit)) }}
{{- end }}
{{- $seconds }}
{{- end }}

{{/* What no schema of single values can tell. */}}
{{- define "curfew.check" -}}
{{- $v := .Values }}
{{- if and (not $v.webhook.enabled) (not (include "curfew.watch" .)) }}
{{- fail "webhook.enabled is false, and so nothing is left to do: set watch to true and rights.scope to cluster, or webhook.enabled to true" }}
{{- end }}
{{- if and (eq $v.rights.scope "namespaces") (not $v.rights.namespaces) }}
{{- fail "rights.scope is namespaces, and rights.namespaces is empty: name the namespaces whose pods Curfew is for" }}
{{- end }}
{{- if and (eq $v.rights.scope "cluster") $v.rights.namespaces }}
{{- fail "rights.namespaces names namespaces, but rights.scope is cluster: set it to namespaces, or leave them out" }}
{{- end }}
{{- if and $v.webhook.enabled (eq $v.certificates.mode "files") (not $v.certificates.caBundle) }}
{{- fail "certificates.mode is files, and certificates.caBundle is empty: give the CA that signed the certificate, as with --set-file certificates.caBundle=ca.crt" }}
{{- end }}
{{- if and (ne $v.certificates.mode "files") $v.certificates.caBundle }}
{{- fail (printf "certificates.caBundle is set, but certificates.mode is %s, where the bundle is published by others: leave it out, or set the mode to files" $v.certificates.mode) }}
{{- end }}
{{- range $name, $port := dict "webhook.port" $v.webhook.port "metrics.port" $v.metrics.port }}
{{- if and $v.hostNetwork (eq (int $port) 10250) }}
{{- fail (printf "%s is 10250, and hostNetwork is true: that port is the kubelet's on every node; set another, as in 10260" $name) }}
{{- end }}
{{- end }}
{{- $drain := addf (include "curfew.seconds" $v.drain.delay | float64) (include "curfew.seconds" $v.drain.timeout | float64) }}
{{- if ge $drain (float64 $v.terminationGracePeriodSeconds) }}
{{- fail (printf "drain.delay and drain.timeout are %vs together, and terminationGracePeriodSeconds is %v: a replica would be killed before it is done; set that above them" $drain $v.terminationGracePeriodSeconds) }}
{{- end }}
{{- if eq (int $v.webhook.port) (int $v.metrics.port) }}
{{- fail (printf "webhook.port and metrics.port are both %d: set them apart" (int $v.metrics.port)) }}
{{- end }}
{{- end }}
