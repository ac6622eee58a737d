terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

locals {
  arns = { for cluster, arn in var.arn : cluster => arn if arn != "" }
  # An endpoint group for each region, which is the fourth part of an ARN.
  by_region = { for region in distinct([for arn in values(local.arns) : split(":", arn)[3]]) : region => sort([
    for arn in values(local.arns) : arn if split(":", arn)[3] == region
  ]) }
}

resource "aws_globalaccelerator_accelerator" "global" {
  name = var.name
}

resource "aws_globalaccelerator_listener" "https" {
  accelerator_arn = aws_globalaccelerator_accelerator.global.arn
  protocol        = "TCP"

  port_range {
    from_port = 443
    to_port   = 443
  }
}

resource "aws_globalaccelerator_endpoint_group" "region" {
  for_each                      = local.by_region
  listener_arn                  = aws_globalaccelerator_listener.https.arn
  endpoint_group_region         = each.key
  health_check_protocol         = "HTTP"
  health_check_path             = "/health"
  health_check_port             = 80
  health_check_interval_seconds = 30
  threshold_count               = 2

  dynamic "endpoint_configuration" {
    for_each = each.value
    content {
      endpoint_id                    = endpoint_configuration.value
      weight                         = 128
      client_ip_preservation_enabled = true
    }
  }
}
