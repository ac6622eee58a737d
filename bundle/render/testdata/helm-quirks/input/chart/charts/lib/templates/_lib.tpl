{{- define "lib.cm" }}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ . }}}
{{- end }}
