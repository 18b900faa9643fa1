import streamlit as st

st.write('latent')
