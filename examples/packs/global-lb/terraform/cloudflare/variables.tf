# What `flotilla outputs global-lb-ingress --format tfvars --healthy` prints, by cluster.
variable "address" {
  type        = map(string)
  description = "Address of each cluster's ingress"
}

variable "region" {
  type        = map(string)
  default     = {}
  description = "Cloudflare's code for the region of each cluster; none is in no region"
}

variable "arn" {
  type        = map(string)
  default     = {}
  description = "Not used here"
}

# What you say.
variable "account_id" { type = string }

variable "zone_id" { type = string }

variable "name" {
  type        = string
  default     = "api.company.com"
  description = "The name that all clusters are reached by"
}
