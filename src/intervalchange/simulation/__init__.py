"""The simulated cohort: anatomy, disease, exposure, film, truth, and its export."""
