import streamlit as st

st.write('present')
