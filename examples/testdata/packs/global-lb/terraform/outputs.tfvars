address = {
  cluster-aws   = "203.0.113.7"
  cluster-azure = "203.0.113.9"
  cluster-gcp   = "203.0.113.8"
}
arn = {
  cluster-aws   = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/net/ingress/50dc6c495c0c9188"
  cluster-azure = ""
  cluster-gcp   = ""
}
region = {
  cluster-aws   = "EEU"
  cluster-azure = "WNAM"
  cluster-gcp   = "EEU"
}
