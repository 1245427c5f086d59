{{/* The release's name, which begins that of everything. */}}
{{- define "voxage.name" -}}
{{- if contains "voxage" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-voxage" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What a Deployment finds its pods by; never changed. Takes the context and the component. */}}
{{- define "voxage.selector" -}}
app.kubernetes.io/name: voxage
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "voxage.labels" -}}
{{ include "voxage.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version }}
{{- end }}

{{/*
A Deployment's template of pods. Takes:
  context, component, settings   the root, the component's name, and its part of the values
  image, args, termination       what is run, and the seconds that its end may take
  queue                          whether it is told the broker
  gpus                           how many
  tmp                            the size of /tmp
  health                         the port with /healthz, /readyz and /metrics: its name, number, and how often
                                 it is asked whether it is ready
  env, mounts, volumes           what else it has, or nothing
*/}}
{{- define "voxage.pod" -}}
metadata:
  labels: {{- include "voxage.labels" . | nindent 4 }}
  annotations:
    # New settings, new pods.
    checksum/settings: {{ include (print .context.Template.BasePath "/settings.yaml") .context | sha256sum }}
spec:
  serviceAccountName: {{ include "voxage.name" .context }}
  # It asks nothing of Kubernetes.
  automountServiceAccountToken: false
  # Variables of Kubernetes' that begin with VOXAGE_ would look like misspelt settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .termination }}
  {{- with .context.Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .component }}
      image: {{ .image | quote }}
      imagePullPolicy: {{ .context.Values.image.pullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      envFrom:
        - configMapRef: {name: {{ include "voxage.name" .context }}}
      env:
        {{- if eq .health.name "metrics" }}
        - {name: VOXAGE_METRICS_LISTEN, value: "0.0.0.0:{{ .health.port }}"}
        {{- end }}
        {{- if .queue }}
        - name: VOXAGE_QUEUE
          valueFrom: {secretKeyRef: {name: {{ .context.Values.secretName }}, key: VOXAGE_QUEUE}}
        {{- end }}
        # Absent where the service account has a role.
        - name: AWS_ACCESS_KEY_ID
          valueFrom: {secretKeyRef: {name: {{ .context.Values.secretName }}, key: AWS_ACCESS_KEY_ID, optional: true}}
        - name: AWS_SECRET_ACCESS_KEY
          valueFrom: {secretKeyRef: {name: {{ .context.Values.secretName }}, key: AWS_SECRET_ACCESS_KEY, optional: true}}
        {{- with .env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with .context.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: {{ .health.name }}, containerPort: {{ .health.port }}}
      # It listens once it has reached broker and store, or loaded its model, however long that takes.
      startupProbe:
        httpGet: {path: /healthz, port: {{ .health.name }}}
        periodSeconds: 5
        failureThreshold: 60
      # Ready is who reaches store and broker. It waits 3 s for each of them.
      readinessProbe:
        httpGet: {path: /readyz, port: {{ .health.name }}}
        periodSeconds: {{ .health.every }}
        timeoutSeconds: 5
      # A core that is busy with recordings is no reason to end them.
      livenessProbe:
        httpGet: {path: /healthz, port: {{ .health.name }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources:
        requests: {{- toYaml .settings.resources.requests | nindent 10 }}
        {{- $limits := .settings.resources.limits | default dict }}
        {{- if .gpus }}{{ $limits = merge (dict "nvidia.com/gpu" .gpus) $limits }}{{ end }}
        {{- with $limits }}
        limits: {{- toYaml . | nindent 10 }}
        {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with .context.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ .tmp }}}
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .context.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  # Apart, where there is room: what one node takes with it, another has.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "voxage.selector" . | nindent 10 }}
  {{- with .settings.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Of services that have no port of their own. Each question costs the store a listing, so not too often. */}}
{{- define "voxage.metrics" -}}
name: metrics
port: {{ .Values.metrics.port }}
every: 30
{{- end }}

{{- define "voxage.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "voxage.trainerImage" -}}
{{ .Values.image.trainerRepository }}:{{ .Values.image.trainerTag }}
{{- end }}
