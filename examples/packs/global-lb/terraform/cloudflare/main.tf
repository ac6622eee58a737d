terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.9"
    }
  }
}

locals {
  clusters = sort(keys(var.address))
  codes    = { for cluster in local.clusters : cluster => lookup(var.region, cluster, "") }
  # The clusters of a region first, then the others, in case it loses all of its own.
  by_region = { for code in distinct([for c in local.clusters : local.codes[c] if local.codes[c] != ""]) : code => concat(
    [for c in local.clusters : c if local.codes[c] == code],
    [for c in local.clusters : c if local.codes[c] != code],
  ) }
}

resource "cloudflare_load_balancer_monitor" "health" {
  account_id     = var.account_id
  type           = "http"
  path           = "/health"
  expected_codes = "200"
  interval       = 60
  retries        = 2
  timeout        = 5
}

resource "cloudflare_load_balancer_pool" "cluster" {
  for_each   = var.address
  account_id = var.account_id
  name       = each.key
  origins    = [{ name = each.key, address = each.value, enabled = true }]
  monitor    = cloudflare_load_balancer_monitor.health.id

  lifecycle {
    create_before_destroy = true # a pool that is in use can't be deleted: the load balancer leaves it first
  }
}

resource "cloudflare_load_balancer" "global" {
  zone_id         = var.zone_id
  name            = var.name
  default_pools   = [for c in local.clusters : cloudflare_load_balancer_pool.cluster[c].id]
  fallback_pool   = cloudflare_load_balancer_pool.cluster[local.clusters[0]].id
  region_pools    = { for code, clusters in local.by_region : code => [for c in clusters : cloudflare_load_balancer_pool.cluster[c].id] }
  steering_policy = "geo"
  proxied         = true
}
