"""One package per protocol: translate, call a service, translate back; none knows another."""
