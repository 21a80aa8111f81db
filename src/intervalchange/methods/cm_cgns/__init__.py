"""CM-CGNS: cluster-guided negatives and masked reconstruction; ConVIRT, GLoRIA and MGCA as presets of align."""
