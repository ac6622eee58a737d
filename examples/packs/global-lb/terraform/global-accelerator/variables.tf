# What `flotilla outputs global-lb-ingress --format tfvars --healthy` prints, by cluster.
variable "arn" {
  type        = map(string)
  description = "ARN of each cluster's network load balancer; clusters without one are left out"
}

variable "address" {
  type        = map(string)
  default     = {}
  description = "Not used here"
}

variable "region" {
  type        = map(string)
  default     = {}
  description = "Not used here"
}

# What you say.
variable "name" {
  type    = string
  default = "global-lb"
}
