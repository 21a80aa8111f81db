"""ReAl: residual branch, residual feature alignment, GPT-2 decoder. Stage: answer."""
