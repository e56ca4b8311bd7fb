"""What every service shares: domain, ports, messages, adapters, runtime. No torch."""
